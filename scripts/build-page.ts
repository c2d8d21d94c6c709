import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '..');
const STAMP = join(ROOT, '.cache', 'page');

/** Builds the page into web/dist unless it was built from the very same sources. Throws with vite's words. */
export async function buildPage(onStart: () => void): Promise<void> {
  const wanted = await hashSources();
  const built = await readFile(STAMP, 'utf8').catch(() => '');
  const isThere = await readFile(join(ROOT, 'web/dist/index.html')).then(
    () => true,
    () => false,
  );
  if (built === wanted && isThere) return;
  onStart();
  await runVite();
  await mkdir(join(ROOT, '.cache'), { recursive: true });
  await writeFile(STAMP, wanted);
}

async function hashSources(): Promise<string> {
  const hash = createHash('sha256').update(await readFile(join(ROOT, 'pnpm-lock.yaml')));
  for (const folder of ['proto', 'web']) {
    for (const entry of (await readdir(join(ROOT, folder), { recursive: true })).toSorted()) {
      if (/(^|\/)(node_modules|dist)(\/|$)/.test(entry) || !/\.(tsx?|css|html|svg|json)$/.test(entry)) continue;
      hash.update(entry).update(await readFile(join(ROOT, folder, entry)));
    }
  }
  return hash.digest('hex');
}

function runVite(): Promise<void> {
  const child = spawn(
    process.execPath,
    [join(ROOT, 'web/node_modules/vite/bin/vite.js'), 'build', '--logLevel', 'warn'],
    {
      cwd: join(ROOT, 'web'),
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  );
  let words = '';
  child.stderr.on('data', (chunk: Buffer) => (words += chunk.toString()));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => (code === 0 ? resolve() : reject(new Error(`Cannot build the page: ${words.trim()}`))));
  });
}
