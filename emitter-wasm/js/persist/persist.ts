export { keepJournal } from './keepJournal.js';
export { recover } from './recover.js';
