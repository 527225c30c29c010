import type { BrowserContext, CDPSession, Page } from 'playwright-core';
import { withRelay } from '../lib/browser.ts';
import { until } from '../lib/until.ts';
import type { Account } from './Generator.ts';

/** Writes of a page's last moment: what is pending when it goes. */
export const LAST_WRITES = 20;

/** What a page said of itself the last time that it was asked. */
export interface PageAccount {
  /** Part of its rows' keys. */
  name: string;
  tab: number;
  persist: boolean;
  written: number;
  stats: Account;
  /** How it went, and when (`performance.now()`). */
  end: 'closed' | 'reloaded' | 'crashed' | 'left';
  at: number;
}

/** The tabs of one browser, each with a page that writes, and what became of every page that there was. */
export class Tabs {
  readonly accounts: PageAccount[] = [];
  /** Times that a page came back from the back/forward cache, and times that it had to be loaded anew. */
  readonly back = { fromCache: 0, loaded: 0 };
  readonly #context: BrowserContext;
  readonly #site: string;
  readonly #away: string;
  readonly #relay: string;
  readonly #pages: Page[] = [];

  constructor(context: BrowserContext, site: string, away: string, relay: string) {
    this.#context = context;
    this.#site = site;
    this.#away = away;
    this.#relay = relay;
  }

  /** Opens a page in this tab; every second tab's persist. */
  async open(tab: number): Promise<void> {
    const page = await this.#context.newPage();
    await page.goto(`${withRelay(this.#site, this.#relay)}${persists(tab) ? '&persist' : ''}`);
    this.#pages[tab] = page;
    await this.#writes(tab);
  }

  /** Closes the page as a user would, and opens another. */
  async close(tab: number): Promise<void> {
    await this.#finish(tab, 'closed');
    const page = this.#page(tab);
    const closed = page.waitForEvent('close');
    await page.close({ runBeforeUnload: true });
    await closed;
    await this.open(tab);
  }

  async reload(tab: number): Promise<void> {
    await this.#finish(tab, 'reloaded');
    await this.#page(tab).reload();
    await this.#writes(tab);
  }

  /** Goes to another page, and back after so many milliseconds. */
  async awayAndBack(tab: number, duration: number): Promise<void> {
    const page = this.#page(tab);
    // What is written until it has gone is only in the books: it says so itself when it comes back.
    const before = await page.evaluate(() => window.tab.look());
    const known = this.#note(tab, before, 'left');
    await page.goto(this.#away);
    await new Promise((resolve) => setTimeout(resolve, duration));
    // A page that comes out of the cache is not loaded.
    await page.goBack({ waitUntil: 'commit' });
    await this.#writes(tab);
    const { name } = await page.evaluate(() => window.tab.look());
    if (name === before.name) {
      this.accounts.splice(this.accounts.indexOf(known), 1);
      this.back.fromCache += 1;
    } else {
      this.back.loaded += 1;
    }
  }

  /** Ends the page's process without a word to the page, and opens another. */
  async crash(tab: number): Promise<void> {
    const page = this.#page(tab);
    const cdp: CDPSession = await this.#context.newCDPSession(page);
    await this.#finish(tab, 'crashed');
    const crashed = page.waitForEvent('crash');
    // It is never answered.
    cdp.send('Page.crash').catch(() => {});
    await crashed;
    await page.close();
    await this.open(tab);
  }

  /** Every page writes its last, and has it acknowledged; then all are closed. */
  async end(): Promise<void> {
    for (const [tab, page] of this.#pages.entries()) {
      await page.evaluate(() => {
        window.tab.finish(0);
        return window.tab.flush();
      });
      await this.#finish(tab, 'closed', 0);
      const closed = page.waitForEvent('close');
      await page.close({ runBeforeUnload: true });
      await closed;
    }
  }

  /** Opens a page that recovers what earlier ones left, and waits until `done`. */
  async recover(done: () => Promise<boolean>): Promise<boolean> {
    const tab = this.#pages.findIndex((_, tab) => persists(tab));
    await this.open(tab);
    const recovered = await until('what earlier pages left is there', done).then(
      () => true,
      () => false,
    );
    this.#pages.splice(0, this.#pages.length, this.#page(tab));
    await this.end();
    return recovered;
  }

  #page(tab: number): Page {
    const page = this.#pages[tab];
    if (page === undefined) throw new Error(`there is no tab ${tab}`);
    return page;
  }

  async #writes(tab: number): Promise<void> {
    await this.#page(tab).waitForFunction(() => window.tab.look().written > 0);
  }

  /** The page's last writes and its account of them. */
  async #finish(tab: number, end: PageAccount['end'], count = LAST_WRITES): Promise<void> {
    const look = await this.#page(tab).evaluate((count) => {
      window.tab.finish(count);
      return window.tab.look();
    }, count);
    this.#note(tab, look, end);
  }

  #note(
    tab: number,
    { name, written, stats }: { name: string; written: number; stats: Account },
    end: PageAccount['end'],
  ): PageAccount {
    const account = { name, tab, persist: persists(tab), written, stats, end, at: performance.now() };
    this.accounts.push(account);
    return account;
  }
}

const persists = (tab: number): boolean => tab % 2 === 0;
