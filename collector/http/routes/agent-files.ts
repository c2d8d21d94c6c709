import { createReadStream, type ReadStream } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';

import type { RequestContext, Route } from '../app.ts';
import { refuse } from '../auth.ts';
import { DOWNLOADS_MAX, type Downloads } from '../downloads.ts';
import { writeInstallScript } from '../install-script.ts';

/** What a build of the agent consists of; nothing else in its directory is given out. */
const FILE_NAME = /^(manifest\.json(\.sig)?|SHA256SUMS|muster-agent[\w.+~-]*(?<!\.tmp))$/;
const RETRY_AFTER_SECONDS = 10;

const TYPES: Readonly<Record<string, string>> = {
  'manifest.json': 'application/json',
  'manifest.json.sig': 'text/plain; charset=utf-8',
  SHA256SUMS: 'text/plain; charset=utf-8',
};

const NOT_BUILT =
  'No agents were built here; run node_modules/.bin/node scripts/build-agent.ts in the checkout of the collector, or name the directory of a build by --agents';

export type AgentFilesOptions = {
  /** Where the agents were built; looked into at each request, so that a build needs no restart. */
  readonly directory: string;
  /** Where install.sh is, the unit, and its drop-ins. */
  readonly deployDirectory: string;
  readonly downloads: Downloads;
};

/** What a host needs to become one of the fleet: the script that installs the agent, and the agent. */
export function makeAgentFileRoutes({ directory, deployDirectory, downloads }: AgentFilesOptions): readonly Route[] {
  async function giveFile(context: RequestContext): Promise<Response> {
    const files = await listFiles(directory);
    if (files.length === 0) return refuse(context, 404, 'not-built', NOT_BUILT);
    // A name of the list, never one from outside, becomes part of a path.
    const file = files.find((name) => name === context.req.param('file'));
    if (file === undefined)
      return refuse(context, 404, 'not-found', `There is no such file; there are ${files.join(', ')}`);
    const path = join(directory, file);
    const { size } = await stat(path);
    const headers = { 'Content-Type': TYPES[file] ?? 'application/octet-stream', 'Content-Length': String(size) };
    if (context.req.method === 'HEAD') return new Response(null, { headers });
    // Not beyond the length that was told, should the file grow meanwhile.
    const open = (): ReadStream => createReadStream(path, { end: Math.max(0, size - 1) });
    const stream = downloads.begin(open, context.env?.incoming?.socket);
    if (stream === null) {
      context.header('Retry-After', String(RETRY_AFTER_SECONDS));
      return refuse(context, 503, 'busy', `${DOWNLOADS_MAX} downloads are under way; ask again later`);
    }
    return new Response(Readable.toWeb(stream) as ReadableStream<Uint8Array<ArrayBuffer>>, { headers }); // Node's own type of the same
  }

  return [
    { method: 'GET', path: '/api/v1/agent/:file', role: 'anyone', handle: giveFile },
    {
      method: 'GET',
      path: '/install.sh',
      role: 'anyone',
      async handle(context) {
        const [template, unit, dropIns, files] = await Promise.all([
          readFile(join(deployDirectory, 'install.sh'), 'utf8'),
          readFile(join(deployDirectory, 'muster-agent.service'), 'utf8'),
          readDropIns(join(deployDirectory, 'drop-ins')),
          listFiles(directory),
        ]);
        if (files.length === 0) return refuse(context, 404, 'not-built', NOT_BUILT);
        const { host, 'x-forwarded-proto': protocol } = context.req.header();
        const isEncrypted = protocol === 'https';
        const script = writeInstallScript({ template, unit, dropIns, host: host ?? '', isEncrypted });
        if (script === null)
          return refuse(
            context,
            400,
            'bad-host',
            'The Host header must be a name or an address, and a port if need be',
          );
        const headers = { 'Content-Type': 'text/plain; charset=utf-8', 'Cache-Control': 'no-store' };
        return new Response(script, { headers });
      },
    },
  ];
}

async function readDropIns(directory: string): Promise<ReadonlyMap<string, string>> {
  const names = (await readdir(directory)).toSorted();
  return new Map(
    await Promise.all(names.map(async (name) => [name, await readFile(join(directory, name), 'utf8')] as const)),
  );
}

/** The files of a build; none where there is none. */
async function listFiles(directory: string): Promise<readonly string[]> {
  const entries = await readdir(directory, { withFileTypes: true }).catch(() => []);
  const names = entries.filter((entry) => entry.isFile() && FILE_NAME.test(entry.name)).map(({ name }) => name);
  // It is written last: without it a build is under way, or was broken off.
  return names.includes('manifest.json') ? names.toSorted() : [];
}
