import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getAsset, isSea } from 'node:sea';

/** The asset of the executable that holds the library of this processor. */
export const LIBRARY_ASSET = 'koffi.node';

/** What is used of koffi: https://koffi.dev/. */
export type Library = {
  readonly load: (path: null) => { readonly func: (prototype: string) => (...values: readonly unknown[]) => number };
  readonly errno: () => number;
};

/**
 * The library is a file that the linker must see. An executable brings it as an asset: it is put into a directory of its
 * own that nobody else can enter, and is gone from there as soon as it is loaded.
 */
export function loadLibrary(directories: readonly string[]): Library {
  loaded ??= isSea() ? openAsset(directories) : open(findPackage());
  return loaded;
}

let loaded: Library | null = null;

function openAsset(directories: readonly string[]): Library {
  const faults: Error[] = [];
  for (const parent of [...directories, tmpdir()]) {
    try {
      const directory = mkdtempSync(join(parent, 'library-'));
      try {
        const file = join(directory, LIBRARY_ASSET);
        writeFileSync(file, new Uint8Array(getAsset(LIBRARY_ASSET)), { mode: 0o700 });
        return open(file);
      } finally {
        rmSync(directory, { recursive: true, force: true });
      }
    } catch (cause) {
      // A filesystem may be full, or mounted noexec.
      faults.push(new Error(`in ${parent}`, { cause }));
    }
  }
  throw new Error('Cannot load the library that calls the system', { cause: faults[0] });
}

function findPackage(): string {
  return createRequire(import.meta.url).resolve(
    `@koromix/koffi-linux-${process.arch}/linux_${process.arch}/koffi.node`,
  );
}

function open(file: string): Library {
  const module: { exports: unknown } = { exports: {} };
  process.dlopen(module, file);
  return module.exports as Library; // what this pinned version exports
}
