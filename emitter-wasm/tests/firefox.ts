import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { defineBrowserProvider } from '@vitest/browser';
import type { BrowserProvider, BrowserProviderOption, TestProject } from 'vitest/node';

const PREFERENCES = {
  // What a new profile would show in a tab of its own: timers are slow in the tab behind it.
  'browser.aboutwelcome.enabled': false,
  'browser.shell.checkDefaultBrowser': false,
  'browser.startup.homepage_override.mstone': 'ignore',
  'datareporting.policy.dataSubmissionPolicyBypassNotification': true,
  'termsofuse.bypassNotification': true,
  // Firefox asks for a dozen hosts when it starts. A proxy that nobody serves leaves it this machine alone.
  'network.proxy.type': 1,
  'network.proxy.socks': '127.0.0.1',
  'network.proxy.socks_port': 1,
  'network.proxy.socks_remote_dns': true,
  'network.proxy.failover_direct': false,
};

declare module 'vitest/browser' {
  interface BrowserCommands {
    __vitest_viewport: (size: { width: number; height: number }) => Promise<void>;
  }
}

/**
 * Vitest's browser mode in the Firefox that is installed. Nothing drives it: a page of tests has only to be opened,
 * and then speaks to Vitest by a WebSocket of its own.
 */
export function firefox(
  executablePath = process.env.FIREFOX ?? '/usr/bin/firefox-esr',
): BrowserProviderOption {
  return defineBrowserProvider({
    name: 'firefox',
    supportedBrowser: ['firefox'],
    providerFactory: (project) => new FirefoxProvider(project, executablePath),
  });
}

class FirefoxProvider implements BrowserProvider {
  readonly name = 'firefox';
  /** One page, for only one can be in the foreground. */
  readonly supportsParallelism = false;
  readonly #project: TestProject;
  readonly #executablePath: string;
  #running: { browser: ChildProcess; home: string } | undefined;

  constructor(project: TestProject, executablePath: string) {
    this.#project = project;
    this.#executablePath = executablePath;
    // Sent before each test file, whose frame Vitest has sized itself; the window may stay as it is.
    project.browser?.registerCommand('__vitest_viewport', async () => {});
  }

  getCommandsContext(): Record<string, unknown> {
    return {};
  }

  async openPage(_sessionId: string, url: string): Promise<void> {
    await this.close();
    // Home and profile in one: Firefox refuses a home of somebody else's, which root may have under sudo.
    const home = await mkdtemp(join(tmpdir(), 'firefox-'));
    const preferences = Object.entries(PREFERENCES).map(
      ([name, value]) => `user_pref(${JSON.stringify(name)}, ${JSON.stringify(value)});\n`,
    );
    await writeFile(join(home, 'user.js'), preferences.join(''));
    const headless = this.#project.config.browser.headless ? ['--headless'] : [];
    const browser = spawn(this.#executablePath, [...headless, '--no-remote', '--profile', home, url], {
      env: { ...process.env, HOME: home },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#running = { browser, home };
    const kill = () => browser.kill();
    process.once('exit', kill);
    let said = '';
    browser.stderr.setEncoding('utf8').on('data', (text) => {
      said = (said + text).slice(-4_000);
    });
    const end = once(browser, 'exit').then(([code, signal]) => {
      throw new Error(`Firefox ended with ${code ?? signal}: ${said}`);
    });
    end
      .finally(() => process.off('exit', kill))
      .catch((error) => {
        if (this.#running?.browser === browser) this.#project.vitest.logger.error(error.message);
      });
    // From the first request on, Vitest knows by the page's WebSocket whether it lives.
    const server = this.#project.browser?.vite.httpServer;
    await Promise.race([end, server && once(server, 'connection')]);
  }

  async close(): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    if (running === undefined) return;
    const { browser, home } = running;
    if (browser.kill()) await once(browser, 'exit');
    await rm(home, { recursive: true, force: true, maxRetries: 5 });
  }
}
