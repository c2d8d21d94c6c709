/** A service's control group. Source: kernel document admin-guide/cgroup-v2. */
const CGROUP_V2 = {
  'sys/fs/cgroup/cgroup.controllers': 'cpuset cpu io memory pids\n',
  'sys/fs/cgroup/system.slice/nginx.service/cpu.stat': 'usage_usec 8500000\nuser_usec 6000000\nsystem_usec 2500000\n',
  'sys/fs/cgroup/system.slice/nginx.service/memory.current': '12582912\n',
  'sys/fs/cgroup/system.slice/nginx.service/pids.current': '5\n',
};

/** The same. Source: kernel documents admin-guide/cgroup-v1/{cpuacct,memory,pids}. */
const CGROUP_V1 = {
  'sys/fs/cgroup/systemd/system.slice/nginx.service/tasks': '812\n',
  'sys/fs/cgroup/cpuacct/system.slice/nginx.service/cpuacct.usage': '8500000000\n',
  'sys/fs/cgroup/memory/system.slice/nginx.service/memory.usage_in_bytes': '12582912\n',
  'sys/fs/cgroup/pids/system.slice/nginx.service/pids.current': '5\n',
};

/**
 * What a virtual machine lacks. Sources: kernel documents hwmon/sysfs-interface, driver-api/thermal/sysfs-api,
 * power/powercap, gpu/amdgpu/driver-misc, admin-guide/pm/cpufreq, ABI/testing/sysfs-class-net; systemd,
 * src/login/logind-session.c.
 */
const BOARD = {
  'sys/class/hwmon/hwmon0/name': 'coretemp\n',
  'sys/class/hwmon/hwmon0/temp1_input': '45000\n',
  'sys/class/hwmon/hwmon0/temp1_label': 'Package id 0\n',
  'sys/class/hwmon/hwmon0/temp2_input': '43000\n',
  'sys/class/hwmon/hwmon0/temp2_fault': '0\n',
  'sys/class/hwmon/hwmon1/name': 'nct6798\n',
  'sys/class/hwmon/hwmon1/fan1_input': '1205\n',
  'sys/class/hwmon/hwmon1/in0_input': '888\n',
  'sys/class/hwmon/hwmon1/power1_average': '85000000\n',
  'sys/class/thermal/thermal_zone0/type': 'x86_pkg_temp\n',
  'sys/class/thermal/thermal_zone0/temp': '45000\n',
  'sys/class/powercap/intel-rapl:0/name': 'package-0\n',
  'sys/class/powercap/intel-rapl:0/energy_uj': '123456789012\n',
  'sys/class/drm/card0/device/gpu_busy_percent': '37\n',
  'sys/class/drm/card0/device/mem_info_vram_used': '2147483648\n',
  'sys/class/drm/card0/device/mem_info_vram_total': '8589934592\n',
  'sys/class/drm/card0/device/product_name': 'Instinct MI210\n',
  'sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq': '2400000\n',
  'sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq': '<unknown>\n',
  'run/systemd/sessions/1': 'UID=1000\nUSER=ann\nACTIVE=1\nSTATE=active\nCLASS=user\n',
  'run/systemd/sessions/c1': 'UID=107\nUSER=gdm\nACTIVE=1\nSTATE=active\nCLASS=greeter\n',
  'proc/net/dev': [
    'Inter-|   Receive                                                |  Transmit\n',
    ' face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n',
    '  eth0: 683997626   16643    0    0    0     0          0         0  1263415    9874    0    0    0     0       0          0\n',
    ' cali7: 1000   10    0    0    0     0          0         0  2000    20    0    0    0     0       0          0\n',
  ].join(''),
  'sys/class/net/eth0/ifindex': '2\n',
  'sys/class/net/eth0/iflink': '2\n',
  'sys/class/net/eth0/operstate': 'up\n',
  'sys/class/net/eth0/speed': '10000\n',
  'sys/class/net/eth0/device/vendor': '0x8086\n',
  'sys/class/net/cali7/ifindex': '9\n',
  'sys/class/net/cali7/iflink': '3\n',
  'sys/class/net/cali7/type': '1\n',
};

/** Machines of metal, path → text, by the version of their control groups. */
export const MACHINES = { v2: { ...BOARD, ...CGROUP_V2 }, v1: { ...BOARD, ...CGROUP_V1 } } as const;
