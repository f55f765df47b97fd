"""machine.py -- what the machine is, and what its processors have been doing.

Processor time is read from /proc/PID/schedstat, task by task, in nanoseconds: the same clock that user and system time are scaled
to, without their 10 ms steps. Soft interrupts that run in a task's context count for that task, on this kernel as on most: a packet
that crosses loopback or a veth pair is received on the sender's account, for every server alike.
"""
import os
import platform
import re
import subprocess


def read(path, default=''):
    try:
        with open(path, errors='replace') as f:
            return f.read()
    except OSError:
        return default


def describe():
    cpuinfo = read('/proc/cpuinfo')
    model = re.search(r'^model name\s*: (.*)$', cpuinfo, re.M)
    mhz = [float(x) for x in re.findall(r'^cpu MHz\s*: ([\d.]+)', cpuinfo, re.M)]
    memory = re.search(r'^MemTotal:\s+(\d+)', read('/proc/meminfo'), re.M)
    distribution = re.search(r'^PRETTY_NAME="?([^"\n]*)', read('/etc/os-release'), re.M)
    return {
        'cpu': model[1] if model else platform.machine(),
        'cpus': os.cpu_count(),
        'mhz': round(max(mhz)) if mhz else None,
        'memory_gb': round(int(memory[1]) / (1 << 20), 1) if memory else None,
        'is_virtual': bool(re.search(r'^flags\s*:.*\bhypervisor\b', cpuinfo, re.M)),
        'governor': read('/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor').strip() or None,
        'kernel': platform.release(),
        'system': distribution[1] if distribution else None,
    }


def line(m):
    """The description as one sentence."""
    return (f'{m["cpu"]}, {m["cpus"]} CPUs{" (virtual machine)" if m["is_virtual"] else ""}'
            f'{", %d MHz" % m["mhz"] if m["mhz"] else ""}, {m["memory_gb"]} GB, Linux {m["kernel"]}, {m["system"]}')


def family(pid):
    """The process and everything it started."""
    out = [pid]
    for task in os.listdir(f'/proc/{pid}/task') if os.path.isdir(f'/proc/{pid}/task') else []:
        for child in read(f'/proc/{pid}/task/{task}/children').split():
            out += family(int(child))
    return out


def schedstat(pid, field):
    """Seconds, of the process and everything it started that still runs, by task."""
    total = 0
    for p in family(pid):
        try:
            tasks = os.listdir(f'/proc/{p}/task')
        except OSError:
            continue
        for task in tasks:
            fields = read(f'/proc/{p}/task/{task}/schedstat').split()
            total += int(fields[field]) if fields else 0
    return total / 1e9


def cpu_seconds(pid):
    """Processor time of the process and everything it started, that still runs."""
    return schedstat(pid, 0)


def waited_seconds(pid):
    """Time for which it wanted a processor and somebody else had it."""
    return schedstat(pid, 1)


def cpu_busy(cpu):
    """Seconds that this processor has not been idle since boot, and those taken from us by the hypervisor."""
    for row in read('/proc/stat').splitlines():
        if row.startswith(f'cpu{cpu} '):
            user, nice, system, idle, iowait, irq, softirq, steal = (int(x) for x in row.split()[1:9])
            return (user + nice + system + irq + softirq) / os.sysconf('SC_CLK_TCK'), steal / os.sysconf('SC_CLK_TCK')
    raise RuntimeError(f'this machine has no CPU {cpu}: the server runs on CPU 0, the generator on CPU 1')


def version_of(argv, pattern):
    """The version that a program says it has, or None."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, errors='replace', timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(pattern, done.stdout + done.stderr)
    return match[1] if match else None
