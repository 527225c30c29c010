const LOOK_EVERY_MS = 20;
/** A peer that delivers nothing for so long, longer than any batch waits, has lost the rest. */
const GIVE_UP_MS = 7_000;

/** A page with one peer in it, and the books of what that peer was given and what arrived. */
export class Visit {
  #page;
  #devtools;
  #arrived;
  #before;
  #made = 0;
  #lost = 0;

  /** `arrived` tells how many updates the peer's backend has got, ever; what has none sends nothing. */
  static async open(browser, url, arrived) {
    const visit = new Visit();
    visit.#arrived = arrived;
    visit.#before = await arrived?.();
    visit.#page = await browser.newPage();
    visit.#page.on('pageerror', (error) => console.error(error));
    await visit.#page.goto(url);
    await visit.#page.waitForFunction(() => window.bench !== undefined);
    visit.#devtools = await visit.#page.context().newCDPSession(visit.#page);
    await visit.#devtools.send('Performance.enable');
    return visit;
  }

  /** `count` bursts, each flushed; what a write took by the page's clock in each, and all in all on the main thread. */
  async bursts(which, size, count, writes) {
    const { result, task } = await this.#task(which, { size, count, writes }, async (given) => {
      const costs = [];
      for (let number = 0; number < given.count; number += 1) {
        costs.push(window.bench.burst(given.which, given.size, given.writes));
        if (given.which === 'peer') await window.bench.flush();
      }
      return costs;
    });
    return { inWrite: result, task: task / (count * writes) };
  }

  /** One write each `everyMs`, flushed at the end; what each took on the main thread. */
  async paced(which, size, writes, everyMs) {
    const { task } = await this.#task(which, { size, count: 1, writes, everyMs }, async (given) => {
      await window.bench.paced(given.which, given.size, given.writes, given.everyMs);
      if (given.which === 'peer') await window.bench.flush();
    });
    return task / writes;
  }

  /** What was given up. */
  get lost() {
    return this.#lost;
  }

  close() {
    return this.#page.close();
  }

  /** Runs `work` in the page; microseconds of all its tasks until everything written has arrived. */
  async #task(which, given, work) {
    const before = await this.#taskMicroseconds();
    const result = await this.#page.evaluate(work, { ...given, which });
    if (which === 'peer') {
      this.#made += given.count * given.writes;
      await this.#settled();
    }
    return { result, task: (await this.#taskMicroseconds()) - before };
  }

  async #taskMicroseconds() {
    const { metrics } = await this.#devtools.send('Performance.getMetrics');
    return metrics.find(({ name }) => name === 'TaskDuration').value * 1e6;
  }

  /** Until everything has arrived, or what has not is given up. */
  async #settled() {
    let missing = await this.#missing();
    for (let since = Date.now(); missing > this.#lost && Date.now() - since < GIVE_UP_MS; ) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
      const still = await this.#missing();
      if (still < missing) since = Date.now();
      missing = still;
    }
    this.#lost = missing;
  }

  async #missing() {
    return this.#arrived === undefined ? 0 : this.#made - ((await this.#arrived()) - this.#before);
  }
}
