import { fork } from 'node:child_process';

/** A process of our own that answers orders one by one, in turn. */
export type WorkerProcess<Order, Reply> = {
  readonly ask: (order: Order) => Promise<Reply>;
  readonly kill: () => void;
};

/** Starts one. `file` calls `answerOrders`; an order that it cannot obey ends it, and rejects. */
export function startWorker<Order extends object, Reply>(
  file: string,
  execArgv: readonly string[] = [],
): WorkerProcess<Order, Reply> {
  const child = fork(file, { execArgv: [...execArgv], serialization: 'advanced' });
  return {
    ask: (order) =>
      new Promise((resolve, reject) => {
        const onExit = () => reject(new Error(`${file} ended; its words are above`));
        child.once('exit', onExit);
        child.once('message', (reply) => {
          child.off('exit', onExit);
          resolve(reply as Reply); // it sends nothing else
        });
        child.send(order);
      }),
    kill: () => void child.kill('SIGKILL'),
  };
}

/** In the process itself: obeys each order, and ends when whoever gave them has. */
export function answerOrders(obey: (order: never) => Promise<object>): void {
  process.on('message', (order) => {
    // Whoever started it sends nothing else.
    obey(order as never).then(
      (reply) => process.send?.(reply),
      (cause: unknown) => {
        console.error(cause);
        process.exit(1);
      },
    );
  });
  process.on('disconnect', () => process.exit(0));
}
