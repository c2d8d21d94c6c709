import { readlinkSync } from 'node:fs';
import { basename } from 'node:path';

/** The device that a link of sysfs leads to: where it is plugged in, while numbers of cards and chips change. Null: none. */
export function nameDevice(link: string): string | null {
  try {
    return basename(readlinkSync(link));
  } catch {
    return null;
  }
}
