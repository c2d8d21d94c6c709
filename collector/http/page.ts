import { readdir, readFile } from 'node:fs/promises';
import { extname, join } from 'node:path';

const TYPES: Readonly<Record<string, string>> = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json',
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
  '.webmanifest': 'application/manifest+json',
};

// A view may end in a host's name, dots and all: /hosts/web-1.example.com.
const FILE_PATH = /^\/(assets\/.*|[^/]*\.[^/]*)$/;

type File = { readonly body: Uint8Array<ArrayBuffer>; readonly type: string };

/**
 * Loads the built page and answers for it from memory. A path that cannot be a file is a view of the page and gets
 * index.html; null for a file that does not exist, and for everything when the page was not built.
 */
export async function loadPage(directory: string): Promise<(path: string) => Response | null> {
  const files = await loadFiles(directory);
  return (path) => {
    const name = FILE_PATH.test(path) ? path : '/index.html';
    const file = files.get(name);
    if (file === undefined) return null;
    // The build puts a hash of the content into the names of the assets.
    const cache = name.startsWith('/assets/') ? 'public, max-age=31536000, immutable' : 'no-cache';
    return new Response(file.body, { headers: { 'Content-Type': file.type, 'Cache-Control': cache } });
  };
}

async function loadFiles(directory: string): Promise<Map<string, File>> {
  const files = new Map<string, File>();
  const entries = await readdir(directory, { recursive: true, withFileTypes: true }).catch(() => []);
  for (const entry of entries) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const type = TYPES[extname(entry.name)] ?? 'application/octet-stream';
    files.set(path.slice(directory.length).replaceAll('\\', '/'), { body: new Uint8Array(await readFile(path)), type });
  }
  return files;
}
