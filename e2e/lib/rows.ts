import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';
import { python } from './paths.ts';
import { until } from './until.ts';

/** A row of `atomwire_updates`. */
export interface Row {
  session: string;
  seq: number;
  key: string;
  /** JSON text. */
  value: string | null;
  error: string | null;
  trace_id: string;
  relay_id: string;
  relay_seq: number;
}

// Node 20 has no SQLite of its own, Python has.
const READ = `
import json, sqlite3, sys
connection = sqlite3.connect("file:" + sys.argv[1] + "?mode=ro", uri=True)
connection.row_factory = sqlite3.Row
print(json.dumps([dict(row) for row in connection.execute(sys.argv[2])]))
`;

/** The consumer's database. */
export class Database {
  readonly file: string;

  constructor(file: string) {
    this.file = file;
  }

  get url(): string {
    return `sqlite:///${this.file}`;
  }

  async query<T>(sql: string): Promise<T[]> {
    if (!existsSync(this.file)) return [];
    const { stdout } = await promisify(execFile)(python, ['-c', READ, this.file, sql], {
      maxBuffer: 64 * 1024 * 1024,
    });
    return JSON.parse(stdout) as T[];
  }

  /** All updates, in the order in which they were stored. */
  async updates(): Promise<Row[]> {
    return this.query<Row>('SELECT * FROM atomwire_updates ORDER BY rowid');
  }

  /** Waits for at least so many updates, and gives all that are there. */
  async arrived(count: number): Promise<Row[]> {
    await until(`${count} rows`, async () => (await this.count()) >= count);
    return this.updates();
  }

  /** How many updates there are. */
  async count(): Promise<number> {
    const [row] = await this.query<{ count: number }>('SELECT COUNT(*) AS count FROM atomwire_updates');
    return row?.count ?? 0;
  }

  /** The number after the highest that is a row; of one session. */
  async nextSeq(): Promise<number> {
    const [row] = await this.query<{ next: number }>(
      'SELECT COALESCE(MAX(seq) + 1, 0) AS next FROM atomwire_updates',
    );
    return row?.next ?? 0;
  }
}
