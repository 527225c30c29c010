import { atomWithTracing } from 'atomwire/jotai';

export interface UserPreferences {
  readonly theme: 'light' | 'dark';
  readonly notifications: boolean;
}

export const userPreferencesAtom = atomWithTracing<UserPreferences>('userPreferences', {
  theme: matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light',
  notifications: true,
});
