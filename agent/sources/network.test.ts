import fc from 'fast-check';
import { expect, test } from 'vitest';

import { anyTextLike } from '../testing/any-text.ts';
import { DEBIAN, readFixture } from '../testing/fixture.ts';
import { parseNetwork, readNetwork } from './network.ts';

test('readNetwork() takes the interfaces of a captured machine, without the loopback', () => {
  const interfaces = readNetwork(DEBIAN);
  expect(interfaces.ok && interfaces.value.map(({ name }) => name)).toEqual(['ifb0', 'ifb1', 'eth0']);
  expect(interfaces.ok && interfaces.value[2]?.receive).toEqual({
    bytes: 683_997_626,
    packets: 16_643,
    errors: 0,
    dropped: 0,
  });
});

const COUNTS = '1 2 3 4 5 6 7 8 11 12 13 14 15 16 17 18\n';
const TRAFFIC = {
  receive: { bytes: 1, packets: 2, errors: 3, dropped: 4 },
  transmit: { bytes: 11, packets: 12, errors: 13, dropped: 14 },
};

test.for([
  ['eth0: ', 'eth0'],
  ['  eth0:', 'eth0'], // Linux before 2.6.38 puts no space after the colon
  ['br-0a1b2c3d=,4: ', 'br-0a1b2c3d=,4'], // any name without a slash, a colon and white space is legal
])('parseNetwork() reads the interface %o', ([head, name]) => {
  expect(parseNetwork(`${head}${COUNTS}`)).toEqual([{ name, ...TRAFFIC }]);
});

test.for(['', 'eth0: 1 2 3\n', `eth0: ${COUNTS.trim()}`, `eth0 ${COUNTS}`, 'eth0: x 2 3 4 5 6 7 8 9 10 11 12 13\n'])(
  'parseNetwork(%o) finds no interface',
  (text) => {
    expect(parseNetwork(text)).toEqual([]);
  },
);

test('parseNetwork() never throws, and of a text cut short it takes only whole lines', () => {
  const good = readFixture('proc/net/dev');
  fc.assert(fc.property(anyTextLike(good), (text) => void parseNetwork(text)));
  const whole = parseNetwork(good);
  fc.assert(
    fc.property(fc.nat(good.length), (end) => {
      const cut = parseNetwork(good.slice(0, end));
      expect(cut).toEqual(whole.slice(0, cut.length));
    }),
  );
});
