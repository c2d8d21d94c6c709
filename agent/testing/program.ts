import { chmodSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A program in a directory of its own that stands in for one that is not here: lines for the shell. */
export function makeProgram(script: string): string {
  const path = join(mkdtempSync(join(tmpdir(), 'muster-program-')), 'program');
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o755);
  return path;
}
