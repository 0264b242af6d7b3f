"""Programs that try to get out of the sandbox, by the lowest level that must stop them.

Each prints ESCAPED when it got through; some leave their mark outside instead, which the test looks for. In braces
stand what they aim at: a secret file, a folder outside, ports, a process.
"""

_SYSCALL = "import ctypes; libc = ctypes.CDLL(None, use_errno=True)\n"

PROCESS = {
    "environment": "import os\nif os.environ.get('AGENTKIT_TEST_SECRET'): print('ESCAPED')",
    "inherited handles": (
        "import os\n"
        "for n in range(3, 256):\n"
        "    try:\n"
        "        if 'secret' in os.readlink(f'/proc/self/fd/{{n}}'): print('ESCAPED')\n"
        "    except OSError: pass"
    ),
    "standard input": "import sys\nif sys.stdin.read(): print('ESCAPED')",
    "10 GB of memory": "x = bytearray(10_000_000_000); print('ESCAPED')",
    "more memory bit by bit": "x = []\nfor n in range(100): x.append(bytearray(20_000_000))\nprint('ESCAPED')",
    "a file of 100 MB": "f = open('x', 'wb')\nfor n in range(100): f.write(b'0' * 10**6)\nprint('ESCAPED')",
    "many handles": "x = [open('/dev/urandom') for n in range(200)]; print('ESCAPED')",
    "raise the limits": (
        "import resource\nresource.setrlimit(resource.RLIMIT_AS, (2**40, 2**40))\n"
        "x = bytearray(4_000_000_000)\nprint('ESCAPED')"
    ),
    "an endless loop": "while True: pass",
    "sleep past the limit": "import time; time.sleep(30); print('ESCAPED')",
    "endless output": "while True: print('x' * 1000)",
    "control sequences": "print('\\x1b]0;owned\\x07\\x1b[2J\\x1b[31mred\\x9b1m')",
    "a daemon that stays": (
        "import os, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        "        time.sleep(0.7); open('{outside}/daemon', 'w').write('x')\n"
        "        os._exit(0)\n"
        "    os._exit(0)"
    ),
    "stop itself": "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP); print('ESCAPED')",
    "a huge error": "raise ValueError('x' * 50_000_000)",
    "endless recursion": "import sys\nsys.setrecursionlimit(10**9)\ndef f(): return f()\nf()",
    "root's rights": "import os\nos.chroot('/'); print('ESCAPED')",
    "a device": "import os, stat\nos.mknod('disk', 0o600 | stat.S_IFBLK, os.makedev(254, 0)); print('ESCAPED')",
    "the clock": "import time\ntime.clock_settime(time.CLOCK_REALTIME, time.time()); print('ESCAPED')",
}

LANDLOCK = {
    "a secret file": "print('ESCAPED', open('{secret}').read())",
    "the list of users": "print('ESCAPED', open('/etc/passwd').read())",
    "the folders of root": "import os\nprint('ESCAPED', os.listdir('/root'))",
    "the environment of the parent": "import os\nopen(f'/proc/{{os.getppid()}}/environ').read(); print('ESCAPED')",
    "a path with dots": "print('ESCAPED', open('../' * 20 + '{secret}').read())",
    "a link to a secret": "import os\nos.symlink('{secret}', 'l'); print('ESCAPED', open('l').read())",
    "a hard link to a secret": "import os\nos.link('{secret}', 'l'); print('ESCAPED', open('l').read())",
    "write outside": "open('{outside}/written', 'w').write('x'); print('ESCAPED')",
    "make a folder outside": "import os\nos.mkdir('{outside}/made'); print('ESCAPED')",
    "move a file outside": "import os\nopen('x', 'w'); os.rename('x', '{outside}/moved'); print('ESCAPED')",
    "delete outside": "import os\nos.unlink('{outside}/kept'); print('ESCAPED')",
    "empty a file outside": "import os\nos.truncate('{outside}/kept', 0); print('ESCAPED')",
    "a program": "import os\nos.execv('/bin/sh', ['sh', '-c', 'echo ESCAPED'])",
    "a program of its own": (
        "import os\nopen('p', 'w').write('#!/bin/sh\\necho ESCAPED\\n')\n"
        "os.chmod('p', 0o755); os.execv('./p', ['p'])"
    ),
    "machine code of its own": (
        "import os, struct\n"
        "code = bytes.fromhex('b801000000bf01000000488d3510000000ba080000000f05b83c00000031ff0f05')\n"
        "head = b'\\x7fELF\\x02\\x01\\x01' + bytes(9) + struct.pack('<HHIQQQIHHHHHH',\n"
        "    2, 62, 1, 0x400078, 64, 0, 0, 64, 56, 1, 64, 0, 0)\n"
        "size = 120 + len(code) + 8\n"
        "load = struct.pack('<IIQQQQQQ', 1, 5, 0, 0x400000, 0x400000, size, size, 4096)\n"
        "open('p', 'wb').write(head + load + code + b'ESCAPED\\n')\n"
        "os.chmod('p', 0o755); os.execv('./p', ['p'])"
    ),
    "TCP": "import socket\nsocket.create_connection(('127.0.0.1', {tcp}), 2); print('ESCAPED')",
    "a TCP server": "import socket\ns = socket.socket(); s.bind(('127.0.0.1', 0)); print('ESCAPED')",
    "kill another process": "import os, signal\nos.kill({victim}, signal.SIGKILL); print('ESCAPED')",
    "kill the launcher": "import os, signal\nos.kill(os.getppid(), signal.SIGKILL); print('ESCAPED')",
    "trace the launcher": _SYSCALL + "import os\nif libc.ptrace(16, os.getppid(), 0, 0) == 0: print('ESCAPED')",
    "an abstract socket": (
        "import socket\ns = socket.socket(socket.AF_UNIX); s.connect('\\0{abstract}'); print('ESCAPED')"
    ),
}

SECCOMP = {
    "UDP": (
        "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "s.sendto(b'x', ('127.0.0.1', {udp})); print('ESCAPED')"
    ),
    "a unix socket": "import socket\ns = socket.socket(socket.AF_UNIX); s.connect('{unix}'); print('ESCAPED')",
    "netlink": "import socket\nsocket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0); print('ESCAPED')",
    "a socket in other numbers": _SYSCALL + "if libc.syscall(0x40000000 + 41, 2, 2, 0) >= 0: print('ESCAPED')",
    "a socket the old way": _SYSCALL + "import mmap\n"
    "m = mmap.mmap(-1, 4096, prot=7)\n"
    "m.write(bytes.fromhex('b866000000' 'bb01000000' 'b900000000' 'cd80' 'c3'))\n"  # int 0x80: socketcall
    "f = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(m)))\n"
    "if f() != -38: print('ESCAPED')",
    "io_uring": _SYSCALL + "b = (ctypes.c_char * 120)()\nif libc.syscall(425, 8, b) >= 0: print('ESCAPED')",
    "fork": "import os\nif os.fork() == 0: os._exit(0)\nprint('ESCAPED')",
    "fork by clone3": _SYSCALL
    + "a = (ctypes.c_uint64 * 8)(0, 0, 0, 0, 17, 0, 0, 0)\nif libc.syscall(435, a, 64) >= 0: print('ESCAPED')",
    "a namespace": _SYSCALL + "if libc.unshare(0x10000000) == 0: print('ESCAPED')",
    "a mount": _SYSCALL + "if libc.mount(b'none', b'/tmp', b'tmpfs', 0, None) == 0: print('ESCAPED')",
    "memory that counts as a file": "import os\nos.memfd_create('x'); print('ESCAPED')",
    "userfaultfd": _SYSCALL + "if libc.syscall(323, 0) >= 0: print('ESCAPED')",
    "the kernel's keys": _SYSCALL + "if libc.syscall(250, 0, -3, 1) >= 0: print('ESCAPED')",
    "another's memory": _SYSCALL
    + "import os\nb = ctypes.create_string_buffer(8); v = (ctypes.c_void_p * 2)(ctypes.addressof(b), 8)\n"
    "if libc.syscall(310, os.getppid(), v, 1, v, 1, 0) >= 0 or ctypes.get_errno() != 1: print('ESCAPED')",
    "shared memory that stays": _SYSCALL + "if libc.shmget(0, 4096, 0o1600) >= 0: print('ESCAPED')",
    "bpf": _SYSCALL + "if libc.syscall(321, 0, (ctypes.c_char * 72)(), 72) >= 0: print('ESCAPED')",
    "another's limits": "import resource as r\nr.prlimit({victim}, r.RLIMIT_NOFILE, (1, 1)); print('ESCAPED')",
}

PROGRAMS = {"process": PROCESS, "landlock": LANDLOCK, "seccomp": SECCOMP}
"""What each level must stop beyond those before it."""
