import { Program } from './Program.ts';
import { python } from './paths.ts';
import type { Database } from './rows.ts';

/** What `atomwire-consumer account --json` prints. */
export interface Books {
  balanced: boolean;
  sessions: { known: number; ended: number; open: number };
  updates: number;
  rows: number;
  lost: { place: 'browser' | 'relay' | 'consumer' | 'bus'; reason: string; updates: number }[];
  unexplained: number;
  holes: { session: string; first: number; last: number }[];
  relays: { known: number; drained: number; vanished: number };
  bus: { messages_lost: number };
}

/** The books of a database; `text` is what people read. */
export async function readBooks(database: Database): Promise<Books & { text: string }> {
  const [json, text] = await Promise.all([account(database, '--json'), account(database)]);
  const books = JSON.parse(json.stdout) as Books;
  if (json.end !== (books.balanced ? 0 : 1))
    throw new Error(`account ended with ${json.end}:\n${json.stdout}`);
  return { ...books, text: text.stdout };
}

async function account(database: Database, ...flags: string[]): Promise<Program> {
  const program = new Program(python, [
    '-m',
    'atomwire',
    'account',
    '--database-url',
    database.url,
    ...flags,
  ]);
  await program.ended();
  if (program.stdout === '') throw new Error(`account ended with ${program.end}:\n${program.stderr}`);
  return program;
}
