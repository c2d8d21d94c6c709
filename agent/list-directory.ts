import { readdirSync } from 'node:fs';

/** The names in a directory of the kernel; none when it is not there, went away meanwhile, or may not be read. */
export function listDirectory(path: string): readonly string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
