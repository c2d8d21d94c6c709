import { monitorEventLoopDelay } from 'node:perf_hooks';

// Loaded into a process, says at each SIGUSR2 for how long its event loop was held up since the last.
const delays = monitorEventLoopDelay({ resolution: 5 });
delays.enable();
process.on('SIGUSR2', () => {
  const [p50, p99, max] = [delays.percentile(50), delays.percentile(99), delays.max].map((ns) => (ns / 1e6).toFixed(0));
  process.stderr.write(`p50 ${p50} ms, p99 ${p99} ms, at most ${max} ms\n`);
  delays.reset();
});
