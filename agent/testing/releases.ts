import { createHash, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';

import { RELEASE_PATH } from '../update/download.ts';

/** How a request is treated, by the file that it asks for; what is not named is served as it is. */
export type Serving = Readonly<Record<string, (response: ServerResponse, content: Buffer | undefined) => void>>;

export type ReleaseServer = {
  readonly url: string;
  /** The key that agents are given. */
  readonly key: KeyObject;
  /** Offers a version: the manifest says what is right for these bytes. */
  readonly offer: (
    version: string,
    binary: Buffer,
    key?: KeyObject,
  ) => { readonly version: string; readonly sha256: string };
  readonly treat: (serving: Serving) => void;
  /** The files that were asked for, in order. */
  readonly asked: () => readonly string[];
  readonly close: () => Promise<void>;
};

export const PLATFORM = 'linux-test';

/** A server that offers signed releases as a collector does, and misbehaves on demand. */
export async function openReleaseServer(): Promise<ReleaseServer> {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const files = new Map<string, Buffer>();
  const asked: string[] = [];
  let serving: Serving = {};
  const server = createServer((request, response) => {
    const file = (request.url ?? '').slice(RELEASE_PATH.length + 1);
    asked.push(file);
    const content = files.get(file);
    const treat = serving[file];
    if (treat !== undefined) treat(response, content);
    else if (content === undefined) response.writeHead(404).end();
    else response.end(content);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address() as AddressInfo; // not a pipe: it listens on a port
  return {
    url: `http://127.0.0.1:${address.port}`,
    key: publicKey,
    offer: (version, binary, key = privateKey) => {
      const gz = gzipSync(binary);
      const { manifest, sha256 } = describe(version, binary, gz);
      files.set('agent.gz', gz);
      files.set('manifest.json', manifest);
      files.set('manifest.json.sig', Buffer.from(`${sign(null, manifest, key).toString('base64')}\n`));
      return { version, sha256 };
    },
    treat: (next) => {
      serving = next;
    },
    asked: () => asked,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function describe(version: string, binary: Buffer, gz: Buffer): { readonly manifest: Buffer; readonly sha256: string } {
  const sha256 = createHash('sha256').update(binary).digest('hex');
  const entry = { file: 'agent', bytes: binary.byteLength, sha256, gz: { file: 'agent.gz', bytes: gz.byteLength } };
  return { manifest: Buffer.from(JSON.stringify({ version, files: { [PLATFORM]: entry } })), sha256 };
}
