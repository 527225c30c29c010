import type { BrowserContext, CDPSession, Page } from 'playwright-core';
import { withRelay } from '../lib/browser.ts';
import { until } from '../lib/until.ts';
import type { Testimony } from '../pages/tab/witness.ts';
import type { Account } from './Generator.ts';

/** Writes of a page's last moment: what is pending when it goes. */
export const LAST_WRITES = 20;

/**
 * What a page that is killed may have made that no note of it knows: its last writes, and those of about the last
 * second, at 25 a second.
 */
export const UNSEEN = LAST_WRITES + 25;

/** Long enough for a page that speaks for many, in milliseconds. */
const SPOKEN_WITHIN = 60_000;

/** What a page said of itself the last time that it was asked. */
export interface PageAccount {
  /** Part of its rows' keys. */
  name: string;
  tab: number;
  persist: boolean;
  written: number;
  stats: Account;
  /** Its sessions are among these. */
  ids: string[];
  /** How it went, and when (milliseconds since the epoch). */
  end: 'closed' | 'reloaded' | 'crashed' | 'left';
  at: number;
}

type Look = ReturnType<Window['tab']['look']>;

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

  /**
   * Opens a last page, which speaks for all that are gone and that no page has spoken for yet. The answer is how
   * much is left in the browser of which the relay was not told, and what all pages have seen.
   */
  async visit(): Promise<{ left: number; testimony: Testimony }> {
    const tab = this.#pages.findIndex((_, tab) => persists(tab));
    await this.open(tab);
    const page = this.#page(tab);
    // It has nothing pending itself from here on.
    await page.evaluate(() => {
      window.tab.finish(0);
      return window.tab.flush();
    });
    const left = () => page.evaluate(() => window.tab.left());
    await until('all is told', async () => (await left()) === 0, { timeout: SPOKEN_WITHIN }).catch(() => {});
    const found = { left: await left(), testimony: await page.evaluate(() => window.tab.testimony()) };
    this.#pages.splice(0, this.#pages.length, page);
    await this.end();
    return found;
  }

  #page(tab: number): Page {
    const page = this.#pages[tab];
    if (page === undefined) throw new Error(`there is no tab ${tab}`);
    return page;
  }

  /** Waits until the page writes, and has what it takes to leave a note of that. */
  async #writes(tab: number): Promise<void> {
    await this.#page(tab).waitForFunction(() => {
      const { written, stats } = window.tab.look();
      return written > 0 && stats.state !== 'loading';
    });
  }

  /** The page's last writes and its account of them. */
  async #finish(tab: number, end: PageAccount['end'], count = LAST_WRITES): Promise<void> {
    const look = await this.#page(tab).evaluate((count) => {
      window.tab.finish(count);
      return window.tab.look();
    }, count);
    this.#note(tab, look, end);
  }

  #note(tab: number, look: Look, end: PageAccount['end']): PageAccount {
    const account = { ...look, tab, persist: persists(tab), end, at: Date.now() };
    this.accounts.push(account);
    return account;
  }
}

const persists = (tab: number): boolean => tab % 2 === 0;
