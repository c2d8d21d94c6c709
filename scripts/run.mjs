// `npm start` and `npm test` begin here. Plain JavaScript without dependencies: it runs on the Node that is there
// (20 or newer), installs the packages, the pinned Node 22 among them, and hands over to the program in that Node.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const NODE_MAJOR_MIN = 20;
const PNPM = 'pnpm@12.21.0';
/** A signal that comes again within this time is the same Ctrl-C, once from the terminal and once from npm. */
const SAME_SIGNAL_MS = 1000;
/** Without a network, npm's own retries take 70 s to say so. */
const INSTALL_ENV = {
  CI: 'true',
  npm_config_fetch_retries: '2',
  npm_config_fetch_retry_mintimeout: '1000',
  npm_config_fetch_retry_maxtimeout: '5000',
};
const root = fileURLToPath(new URL('..', import.meta.url));
const bin = join(root, 'node_modules', '.bin');
const env = { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH ?? ''}` };

async function main() {
  const [program = '', ...args] = process.argv.slice(2);
  const major = Number(process.versions.node.split('.')[0]);
  if (major < NODE_MAJOR_MIN) {
    return fail(
      `Cannot run Muster: it needs Node ${NODE_MAJOR_MIN} or newer, this is ${process.versions.node}; get it from https://nodejs.org`,
    );
  }
  const isInstalled = await install();
  if (!isInstalled) return;
  // In a group of its own, so that Ctrl-C in the terminal reaches it once, through here. The channel tells it when
  // this process is gone.
  const child = spawn(join(bin, 'node'), [join(root, 'scripts', `${program}.ts`), ...args], {
    detached: true,
    env,
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  forwardSignals(child);
  child.on('error', (error) => fail(`Cannot run ${program}: ${error.message}`));
  child.on('exit', (code) => {
    process.exitCode = code ?? 1;
    if (child.connected) child.disconnect();
  });
}

/** Installs the packages when what is installed is not what the lock file says. */
async function install() {
  const wanted = hashOf(['pnpm-lock.yaml', 'pnpm-workspace.yaml', 'package.json']);
  const stamp = join(root, 'node_modules', '.muster-installed');
  if (readText(stamp) === wanted) return true;
  const startedMs = Date.now();
  process.stdout.write('Installing the packages: about 1.1 GB on disk, once …\n');
  const { code, output } = await capture('npx', [
    '--yes',
    '--prefer-offline',
    PNPM,
    'install',
    '--frozen-lockfile',
    '--prefer-offline',
  ]);
  if (code !== 0) {
    const log = join(root, '.cache', 'install.log');
    mkdirSync(join(root, '.cache'), { recursive: true });
    writeFileSync(log, output);
    fail(`Cannot install the packages: ${explainInstall(output)} (${log} has all that was said)`);
    return false;
  }
  writeFileSync(stamp, wanted);
  process.stdout.write(`Installed in ${Math.round((Date.now() - startedMs) / 1000)} s.\n`);
  return true;
}

/** @param {string} output */
function explainInstall(output) {
  if (/ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ENETUNREACH|EHOSTUNREACH|ETIMEDOUT|ECONNRESET|network/i.test(output)) {
    return 'the npm registry cannot be reached; connect to the network (or set npm config proxy / registry) and run this again';
  }
  if (/ENOSPC/.test(output)) return 'the disk is full; free about 2 GB and run this again';
  if (/EACCES|EPERM/.test(output)) return `files here cannot be written; make ${root} yours and run this again`;
  const line = output.split('\n').findLast((text) => /err/i.test(text)) ?? 'npx failed';
  return line.trim();
}

/**
 * @param {string} command
 * @param {string[]} args
 * @returns {Promise<{ code: number | null, output: string }>}
 */
function capture(command, args) {
  return new Promise((resolve) => {
    let output = '';
    const child = spawn(command, args, {
      cwd: root,
      env: { ...process.env, ...INSTALL_ENV },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child.stdout.on('data', (chunk) => (output += chunk));
    child.stderr.on('data', (chunk) => (output += chunk));
    child.on('error', (error) => resolve({ code: 1, output: `${output}\n${error.message}` }));
    child.on('close', (code) => resolve({ code, output }));
  });
}

/** @param {import('node:child_process').ChildProcess} child */
function forwardSignals(child) {
  let lastMs = 0;
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
    process.on(signal, () => {
      if (Date.now() - lastMs < SAME_SIGNAL_MS) return;
      lastMs = Date.now();
      child.kill(signal === 'SIGHUP' ? 'SIGTERM' : signal);
    });
  }
}

/** @param {string[]} files */
function hashOf(files) {
  const hash = createHash('sha256');
  for (const file of files) hash.update(readFileSync(join(root, file)));
  return hash.digest('hex');
}

/** @param {string} file */
function readText(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

/** @param {string} message */
function fail(message) {
  process.stderr.write(`${message}\n`);
  process.exitCode = 1;
}

await main();
