import { describeError } from '@muster/proto/log';

import { buildPage } from './build-page.ts';

// `node scripts/run.mjs build`: everything that running the programs by themselves needs, and nothing started.
buildPage(() => console.log('Building the page …')).then(
  () => {
    console.log('The packages are installed and the page is built.');
    process.exit();
  },
  (error: unknown) => {
    console.error(describeError(error));
    process.exit(1);
  },
);
