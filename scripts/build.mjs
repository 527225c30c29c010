// npm run build: everything that is shipped or started.

import { buildAll } from './lib/build.mjs';
import { checkPrograms } from './lib/project.mjs';
import { run } from './lib/run.mjs';

await run(async () => {
  checkPrograms();
  await buildAll();
});
