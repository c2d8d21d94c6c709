import { isSea } from 'node:sea';

/** The program that runs, and how another one takes its place. */
export type Program = {
  readonly version: string;
  /** `linux-x64`: which part of a manifest is for us. */
  readonly platform: string;
  readonly path: string;
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The process goes on as another program, with the same id. Does not return, unless in a test. */
  readonly replace: (path: string, argv: readonly string[], env: Readonly<Record<string, string>>) => void;
};

/** Tells a version that was fetched where the installed one is, which has started it. */
const INSTALLED = 'MUSTER_INSTALLED';

/** This process, if it is a standalone executable; null: it is Node that runs our sources, and others see to those. */
export function readProgram(version: string): Program | null {
  if (!isSea()) return null;
  return {
    version,
    platform: `${process.platform}-${process.arch}`,
    path: process.execPath,
    argv: process.argv.slice(2),
    env: process.env,
    replace: (path, argv, env) => process.execve?.(path, [path, ...argv], env),
  };
}

/** The path of the installed version; null: it is this one. */
export function readInstalled({ env }: Program): string | null {
  return env[INSTALLED] ?? null;
}

/** As the installed version: starts one that was fetched. */
export function replaceByFetched(program: Program, path: string): void {
  program.replace(path, program.argv, definedOf({ ...program.env, [INSTALLED]: program.path }));
}

/** As either: starts the installed version anew, which chooses what is to run. */
export function replaceByInstalled(program: Program): void {
  program.replace(
    readInstalled(program) ?? program.path,
    program.argv,
    definedOf({ ...program.env, [INSTALLED]: undefined }),
  );
}

function definedOf(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
}
