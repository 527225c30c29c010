import type { Note } from '../session/Note.js';
import { Journal, type Kept } from './Journal.js';

/** From now on the note has frames: the updates themselves are kept where it stands, and as long. */
export async function keepJournal(
  note: Note,
  session: Kept,
  diagnose: (kind: string, message: string) => void,
): Promise<void> {
  const journal = new Journal(session, note.name, diagnose);
  const { update, save, leave, comeBack } = note;
  note.update = () => {
    update();
    journal.settle();
  };
  note.save = (reason) => {
    note.kept = journal.write();
    save(reason);
  };
  note.leave = (reason) => {
    const stands = leave(reason);
    journal.close();
    return stands;
  };
  note.comeBack = async () => {
    const own = await comeBack();
    if (own) void journal.open();
    return own;
  };
  await journal.open();
  note.save();
}
