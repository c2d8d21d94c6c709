import { expect, test } from 'vitest';

import { runOperation } from './backup-operation.ts';

test('runOperation() of which the engine knows nothing any more fails, and says so', async () => {
  const answers = [[{ id: 'a' }], [{ status: 'CREATING_BACKUP' }], []];
  const session = {
    query: async () => answers.shift() ?? [],
    command: async () => undefined,
    close: async () => undefined,
  };
  await expect(runOperation(session, 'BACKUP', {})).rejects.toThrow(
    'The engine has forgotten how far it is; try again',
  );
  expect(answers).toEqual([]);
});
