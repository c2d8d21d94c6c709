import { expect, test } from 'vitest';

import { openLiveServer } from './live-server.ts';

const handlers = { opened: () => {}, received: () => {}, drained: () => {}, closed: () => {} };

test('a server that is closed again stays closed, and the next one, which has its memory, open', async () => {
  const open = () => openLiveServer({ port: 0, authorise: () => ({ kind: 'anyone' }), handlers });
  const ask = async (port: number): Promise<number> => (await fetch(`http://127.0.0.1:${port}/`)).status;
  for (let i = 0; i < 20; i += 1) {
    const first = await open();
    await first.close();
    const second = await open();
    expect(await ask(second.port)).toBe(404); // the library frees what was closed when the event loop turns
    await first.close();
    expect(await ask(second.port)).toBe(404);
    await second.close();
  }
});
