"""A seccomp filter: system calls that code of a model has no business making are refused by the kernel.

No sockets, no new processes or programs, no signals or looks into other processes, no namespaces, mounts, modules,
keys or devices. x86-64 only, since the numbers of system calls are its own and have been tried nowhere else.
Standard library only: the launcher loads this file by its path.
"""

import ctypes
import errno
import os
import platform
import struct

_DENIED = {
    "socket": 41, "fork": 57, "vfork": 58, "execve": 59, "execveat": 322, "kill": 62, "tkill": 200,
    "rt_sigqueueinfo": 129, "rt_tgsigqueueinfo": 297, "pidfd_open": 434, "pidfd_send_signal": 424,
    "pidfd_getfd": 438, "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311, "process_madvise": 440,
    "kcmp": 312, "mount": 165, "umount2": 166, "pivot_root": 155, "chroot": 161, "unshare": 272, "setns": 308,
    "move_mount": 429, "open_tree": 428, "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433,
    "mount_setattr": 442, "keyctl": 250, "add_key": 248, "request_key": 249, "bpf": 321, "userfaultfd": 323,
    "perf_event_open": 298, "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427,
    "init_module": 175, "finit_module": 313, "delete_module": 176, "kexec_load": 246, "kexec_file_load": 320,
    "reboot": 169, "swapon": 167, "swapoff": 168, "settimeofday": 164, "clock_settime": 227, "adjtimex": 159,
    "clock_adjtime": 305, "name_to_handle_at": 303, "open_by_handle_at": 304, "fanotify_init": 300,
    "quotactl": 179, "acct": 163, "iopl": 172, "ioperm": 173, "modify_ldt": 154, "mknod": 133, "mknodat": 259,
    "syslog": 103, "vhangup": 153, "sethostname": 170, "setdomainname": 171, "personality": 135,
    "memfd_create": 319, "memfd_secret": 447, "shmget": 29, "msgget": 68, "semget": 64, "mq_open": 240,
    "setpriority": 141, "sched_setscheduler": 144, "sched_setattr": 314, "ioprio_set": 251, "uselib": 134,
}  # fmt: skip
_CLONE, _CLONE3, _TGKILL, _PRLIMIT = 56, 435, 234, 302
_CLONE_THREAD = 0x10000
_X32 = 0x40000000
_ARCHITECTURE = 0xC000003E

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _REFUSE, _ABSENT = 0x7FFF0000, 0x80000000, 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS
_NUMBER, _ARCH, _FIRST_ARGUMENT = 0, 4, 16
_SET_SECCOMP, _GET_SECCOMP, _FILTER, _NO_NEW_PRIVILEGES = 22, 21, 2, 38


def is_available() -> bool:
    """Tell whether this kernel and machine have it."""
    if platform.machine() != "x86_64" or platform.system() != "Linux" or struct.calcsize("P") != 8:
        return False
    return int(ctypes.CDLL(None).prctl(_GET_SECCOMP, 0, 0, 0, 0)) >= 0


def restrict() -> None:
    """Refuse those calls to this process from now on; OSError if it cannot be."""
    program = b"".join(struct.pack("HBBI", *instruction) for instruction in _program(os.getpid()))
    code = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) or libc.prctl(_SET_SECCOMP, _FILTER, header, 0, 0):
        number = ctypes.get_errno()
        raise OSError(number, f"seccomp: {os.strerror(number)}")


def _program(pid: int) -> list[tuple[int, int, int, int]]:
    """Return the filter, an instruction a tuple: code, how far to jump when true and when false, operand."""
    program = [
        (_LOAD, 0, 0, _ARCH),
        (_EQUAL, 1, 0, _ARCHITECTURE),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, _X32),
        (_RETURN, 0, 0, _REFUSE),
        (_EQUAL, 0, 1, _CLONE3),  # whose flags a filter cannot see; without it clone is used
        (_RETURN, 0, 0, _ABSENT),
    ]
    for number in _DENIED.values():
        program += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _REFUSE)]
    threads_only = [(_ANY_BIT, 1, 0, _CLONE_THREAD), (_RETURN, 0, 0, _REFUSE), (_RETURN, 0, 0, _ALLOW)]
    itself_only = [(_EQUAL, 2, 0, pid), (_EQUAL, 1, 0, 0), (_RETURN, 0, 0, _REFUSE), (_RETURN, 0, 0, _ALLOW)]
    for number, verdict in ((_CLONE, threads_only), (_TGKILL, itself_only), (_PRLIMIT, itself_only)):
        program += [(_EQUAL, 0, 1 + len(verdict), number), (_LOAD, 0, 0, _FIRST_ARGUMENT), *verdict]
    return [*program, (_RETURN, 0, 0, _ALLOW)]
