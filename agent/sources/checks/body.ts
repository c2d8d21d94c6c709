import type { Context, Script } from 'node:vm';

/** So much of an answer is read, and looked through: a page that is larger is up, too. */
export const BODY_BYTES_MAX = 1 << 20;
/** How long a pattern may be looked for. It runs in the agent's one thread, and the text may be made to hold it up. */
const PATTERN_MS_MAX = 50;

export type Found = 'found' | 'missing' | 'endless';

/** Whether a text is part of the body, as bytes of UTF-8. */
export function findText(body: Buffer, text: string): Found {
  return body.includes(text) ? 'found' : 'missing';
}

let context: (Context & { pattern: RegExp | null; text: string }) | null = null;
let script: Script | null = null;

/**
 * Whether a pattern matches. A pattern that steps back again and again takes time without end on a text that was made for
 * it; V8 looks whether it must stop while it matches, and a script with a limit of time makes it stop.
 */
export function findPattern(body: Buffer, pattern: RegExp): Found {
  const vm = process.getBuiltinModule('node:vm'); // for those who have patterns
  context ??= Object.assign(vm.createContext({}), { pattern: null, text: '' });
  script ??= new vm.Script('pattern.test(text)');
  context.pattern = pattern;
  context.text = body.toString('utf8');
  try {
    return script.runInContext(context, { timeout: PATTERN_MS_MAX }) === true ? 'found' : 'missing';
  } catch {
    return 'endless';
  } finally {
    context.text = '';
    context.pattern = null;
  }
}
