import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { parseText } from '@muster/proto/options';
import { isRecord } from '@muster/proto/record';

import { runCommand, say } from './command.ts';
import { createEnrolmentToken } from './enrol.ts';
import { findMachineFault, startMachine, type Machine } from './service-proof/machine.ts';
import { startCollector, type RunningCollector } from './start-collector.ts';
import { until } from './until.ts';

const ROOT = join(import.meta.dirname, '..');
const STATE = '/var/lib/private/muster-agent';
/** The users that systemd gives to services with DynamicUser. Source: systemd's UIDS-GIDS document. */
const DYNAMIC_MIN = 61_184;
const DYNAMIC_MAX = 65_519;
const IDENTITY = `cat ${STATE}/identity.json`;
const START = 'systemctl enable --now muster-agent';

type Options = { readonly agents: string; readonly tree: string };

async function prove({ agents, tree }: Options): Promise<boolean> {
  const fault = findMachineFault();
  if (fault !== null) throw new Error(`Cannot be tried here: ${fault}`);
  const packageFile = findPackage(agents);
  const data = mkdtempSync(join(tmpdir(), 'muster-service-'));
  const collector = await startCollector({ data, agents });
  try {
    const machine = await startMachine(tree);
    try {
      copyFileSync(join(agents, packageFile), join(machine.root, 'root/agent.deb'));
      const proof = makeProof(machine, collector);
      await provePackage(proof);
      await proveScript(proof);
      return proof.report();
    } finally {
      await machine.close();
    }
  } finally {
    await collector.stop();
    rmSync(data, { recursive: true });
  }
}

/** The package of the build: those of earlier ones may lie beside it. */
function findPackage(agents: string): string {
  const manifest: unknown = JSON.parse(readFileSync(join(agents, 'manifest.json'), 'utf8'));
  const version = isRecord(manifest) ? String(manifest['version']) : '';
  const file = `muster-agent_${version}_${process.arch === 'arm64' ? 'arm64' : 'amd64'}.deb`;
  if (!existsSync(join(agents, file)))
    throw new Error(`There is no ${file} in ${agents}; make it by node scripts/build-deb.ts`);
  return file;
}

type Proof = ReturnType<typeof makeProof>;

/** What is asked of the machine and of the collector, and what was found so far. */
function makeProof({ run }: Machine, collector: RunningCollector) {
  const found: { readonly what: string; readonly holds: boolean }[] = [];
  const show = (property: string): string =>
    run(`systemctl show --property ${property} --value muster-agent`).out.trim();
  const check = (what: string, holds: boolean, evidence = ''): void => {
    found.push({ what, holds });
    say(`${holds ? 'holds' : 'DOES NOT HOLD'}: ${what}${evidence === '' ? '' : ` (${evidence.trim()})`}`);
    if (!holds) say(run('journalctl --unit muster-agent --lines 20 --output cat --no-pager').out);
  };
  return {
    run,
    show,
    check,
    collector,
    token: () => createEnrolmentToken(collector),
    /** Runs a command that must do what it is for. */
    succeed: (what: string, command: string): string => {
      const { code, out } = run(command);
      check(what, code === 0, code === 0 ? '' : out);
      return out;
    },
    isGone: (path: string): boolean => run(`test -e ${path}`).code === 1,
    /** Whether the host has told the states of systemd's units since then. */
    hasStates: async (sinceMs: number): Promise<boolean> => {
      const host = /"host":"([^"]*)"/.exec(run(IDENTITY).out)?.[1] ?? '';
      const query = `host=${host}&metric=systemd.unit.count&fromMs=${sinceMs}&toMs=${Date.now() + 1000}`;
      const headers = { Authorization: `Bearer ${collector.key}` };
      const reply: unknown = await (await fetch(`${collector.origin}/api/v1/series?${query}`, { headers })).json();
      return isRecord(reply) && Array.isArray(reply['series']) && reply['series'].length > 0;
    },
    /** When the host's newest batch came; null while there is none. */
    readSeenMs: async (): Promise<number | null> => {
      const headers = { Authorization: `Bearer ${collector.key}` };
      const reply: unknown = await (await fetch(`${collector.origin}/api/v1/hosts`, { headers })).json();
      const hosts = isRecord(reply) && Array.isArray(reply['hosts']) ? reply['hosts'] : [];
      const seen = hosts.map((host: unknown) => (isRecord(host) ? Number(host['arrivedMs'] ?? NaN) : NaN));
      return seen.find((atMs) => atMs > 0) ?? null;
    },
    report: (): boolean => {
      const failed = found.filter(({ holds }) => !holds);
      console.log(`held                  ${found.length - failed.length}\ndid not hold          ${failed.length}`);
      return failed.length === 0;
    },
  };
}

async function provePackage(proof: Proof): Promise<void> {
  const { run, show, check, succeed, isGone, collector } = proof;
  const said = succeed('the package is installed', 'dpkg -i /root/agent.deb');
  check(
    'unconfigured, it is not started and says what to do',
    show('ActiveState') === 'inactive' && said.includes('enable --now'),
  );
  run(
    `printf 'url: "%s"\\n' ${collector.origin} >>/etc/muster/agent.yaml; printf %s ${await proof.token()} >/etc/muster/token`,
  );
  succeed('configured, it starts, and systemd hears that it is ready', START);
  await untilJoined(proof);
  const uid = Number(run(`stat -c %u /proc/${show('MainPID')}`).out);
  check('it runs as a user of its own', uid >= DYNAMIC_MIN && uid <= DYNAMIC_MAX, `uid ${uid}`);
  check('it has no capabilities', /^CapEff:\s+0+$/m.test(run(`cat /proc/${show('MainPID')}/status`).out));
  check(
    'its status says who it is and what it delivered',
    show('StatusText').includes(collector.origin),
    show('StatusText'),
  );
  check('others cannot read its state', run(`su -s /bin/sh nobody -c '${IDENTITY}'`).code !== 0);
  const identity = run(IDENTITY).out;

  await proveWatchdog(proof);
  await proveUnits(proof);

  const before = show('MainPID');
  succeed('an upgrade succeeds', 'dpkg -i /root/agent.deb');
  check('and starts the agent again', show('ActiveState') === 'active' && show('MainPID') !== before);
  check('as the host that it was', run(IDENTITY).out === identity && identity.includes('"host"'));

  succeed('the package is removed', 'dpkg -r muster-agent');
  check(
    'and with it the service, while the identity stays',
    isGone('/usr/bin/muster-agent') && run(IDENTITY).out === identity,
  );
  succeed('installed again', 'dpkg -i /root/agent.deb');
  check('it starts as the host that it was', show('ActiveState') === 'active' && run(IDENTITY).out === identity);
  succeed('the package is purged', 'dpkg -P muster-agent');
  const left = [STATE, '/var/lib/muster-agent', '/etc/muster'].filter((path) => !isGone(path));
  check('and nothing is left', left.length === 0, left.join(' '));
}

/** A process that stands still gives no sign of life. */
async function proveWatchdog({ run, show, check }: Proof): Promise<void> {
  run(
    'mkdir -p /run/systemd/system/muster-agent.service.d; printf "[Service]\\nWatchdogSec=4\\nRestartSec=1\\n" >/run/systemd/system/muster-agent.service.d/quick.conf; systemctl daemon-reload; systemctl restart muster-agent',
  );
  const before = show('MainPID');
  await new Promise((resolve) => {
    setTimeout(resolve, 10_000);
  });
  check('it gives its signs of life: after 10 s with a watchdog of 4 s it still runs', show('MainPID') === before);
  run(`kill -STOP ${before}`);
  const restarted = await until('the watchdog', () =>
    show('NRestarts') === '1' && show('ActiveState') === 'active' ? true : null,
  ).catch(() => false);
  check('one that stands still is started again', restarted && show('MainPID') !== before);
  check('by the watchdog', run('journalctl --unit muster-agent --no-pager').out.includes('Watchdog timeout'));
  run('rm -r /run/systemd/system/muster-agent.service.d; systemctl daemon-reload');
}

/** What the bus tells needs a user that the bus can look up; where it cannot, the log says how to make one. */
async function proveUnits({ run, check, hasStates }: Proof): Promise<void> {
  const advice = 'systemctl stop muster-agent && useradd --system muster-agent && systemctl start muster-agent';
  const identity = run(IDENTITY).out;
  if (await hasStates(0)) return check('it hears of the states of units', true);
  check(
    'of a bus that does not let it in it says what to do',
    run('journalctl --unit muster-agent --output cat --no-pager').out.includes(advice),
  );
  const sinceMs = Date.now();
  run(advice);
  const isHeard = await until('states of units', async () => ((await hasStates(sinceMs)) ? true : null)).catch(
    () => false,
  );
  check(
    'that done, it hears of the states of units, as the host that it was',
    isHeard && run(IDENTITY).out === identity,
  );
  run('systemctl stop muster-agent; userdel muster-agent; systemctl start muster-agent');
}

async function proveScript(proof: Proof): Promise<void> {
  const { run, show, check, succeed, isGone, collector } = proof;
  const script = `curl -fsSL ${collector.origin}/install.sh | sh -s --`;
  const said = succeed('one line installs the agent', `${script} --token ${await proof.token()}`);
  check('and says where the host is', said.includes(`${collector.origin}/hosts/`), said);
  check('the service runs', show('ActiveState') === 'active' && show('UnitFileState') === 'enabled');
  check('the token is not kept', run('wc -c </etc/muster/token').out.trim() === '0');
  await untilJoined(proof);
  const before = show('MainPID');
  const identity = run(IDENTITY).out;
  succeed('run again it upgrades', script);
  check('as the host that it was', show('MainPID') !== before && run(IDENTITY).out === identity);
  succeed('--uninstall removes it', `${script} --uninstall`);
  check('and keeps its identity', run(IDENTITY).out === identity && isGone('/usr/local/bin/muster-agent'));
  succeed('--uninstall --purge removes the rest', `${script} --uninstall --purge`);
  check('all of it', isGone(STATE) && isGone('/etc/muster') && isGone('/etc/systemd/system/muster-agent.service'));
  const refused = run(`${script} --token used-up`);
  check(
    'with a token that is not taken it says so',
    refused.code === 1 && refused.out.includes('agent.refused'),
    refused.out,
  );
  check('and does not go on trying', show('ActiveState') !== 'activating', show('ActiveState'));
}

/** Until the collector has a batch of now. */
async function untilJoined({ check, readSeenMs }: Proof): Promise<void> {
  const sinceMs = Date.now();
  const seenMs = await until('a batch', async () => {
    const atMs = await readSeenMs();
    return atMs !== null && atMs >= sinceMs ? atMs : null;
  }).catch(() => null);
  check('its batches arrive', seenMs !== null);
}

await runCommand({
  usage: `service-proof: installs the agent under a real systemd, in a container, by its package and by the script of a collector:
it must run without rights, be started again when it hangs, keep who it is through upgrades, and leave nothing when it is
purged. Needs root, systemd-nspawn and debootstrap, and a build with packages.

  node scripts/service-proof.ts`,
  options: {
    agents: {
      placeholder: 'DIRECTORY',
      help: 'a build of the agent with packages (default dist/agent)',
      default: join(ROOT, 'dist/agent'),
      parse: parseText,
    },
    tree: {
      placeholder: 'DIRECTORY',
      help: 'a Debian that is made there once, 350 MB (default .cache/debian)',
      default: join(ROOT, '.cache/debian'),
      parse: parseText,
    },
  },
  prove,
});
