import type { Note } from '../session/Note.js';
import { Journal, type Kept } from './Journal.js';

/** From now on the updates themselves are kept beside the session's note. */
export async function keepJournal(
  note: Note,
  session: Kept,
  diagnose: (kind: string, message: string) => void,
): Promise<void> {
  const journal = new Journal(session, note.name, diagnose);
  note.journal = journal;
  await journal.open();
  note.save();
}
