import { err, ok, type Result } from '@muster/proto/result';

import { childEnvironment } from '../../child-environment.ts';

/** The longest report has some 30 KiB. */
const OUTPUT_BYTES_MAX = 2 ** 20;

export type Run = {
  readonly program: string;
  readonly argv: readonly string[];
  readonly deadlineMs: number;
  readonly signal: AbortSignal;
};

/** What a program prints, whatever it ends with; an error says why it printed nothing. It is killed at the deadline. */
export function runProgram({ program, argv, deadlineMs, signal }: Run): Promise<Result<string, string>> {
  const options = { timeout: deadlineMs, killSignal: 'SIGKILL', maxBuffer: OUTPUT_BYTES_MAX, signal } as const;
  return new Promise((resolve) => {
    process
      .getBuiltinModule('node:child_process')
      .execFile(program, [...argv], { ...options, env: childEnvironment() }, (cause, output) => {
        if (cause?.killed === true) resolve(err(`it did not answer within ${deadlineMs / 1000} s`));
        else if (output !== '') resolve(ok(output));
        else resolve(err(cause?.code === 'ENOENT' ? `there is no ${program}` : `${program} prints nothing`));
      });
  });
}
