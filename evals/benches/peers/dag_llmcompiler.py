# mypy: ignore-errors
# (its packages are in another checkout)
"""LLMCompiler's own executor on a chain of calls that do nothing: `dag_llmcompiler.py CHECKOUT STEPS TIMES`.

Prints the milliseconds of each time as JSON.
"""

import asyncio  # noqa: TID251 - what LLMCompiler runs on
import json
import sys
import time

sys.path.insert(0, sys.argv[1])

from src.llm_compiler.task_fetching_unit import Task, TaskFetchingUnit
from src.utils import logger_utils

logger_utils.LOG_ENABLED = False


async def nothing(number):
    """Do nothing."""
    await asyncio.sleep(0)
    return number


async def chain_ms(steps: int) -> float:
    """Run the chain once."""
    unit = TaskFetchingUnit()
    unit.set_tasks(
        {n: Task(n, "nothing", nothing, [f"${n - 1}" if n else "0"], [n - 1] if n else []) for n in range(steps)}
    )
    start = time.perf_counter()
    await unit.schedule()
    elapsed = time.perf_counter() - start
    assert unit.tasks[steps - 1].observation == "0"
    return elapsed * 1e3


if __name__ == "__main__":
    times = [asyncio.run(chain_ms(int(sys.argv[2]))) for _ in range(int(sys.argv[3]))]
    sys.stdout.write(json.dumps(times))
