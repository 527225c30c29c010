import { useAtomValue } from 'jotai';
import { useLayoutEffect } from 'react';
import { userPreferencesAtom } from './atoms/userPreferences';

/** Shows the page in the preferred theme; in a layout effect, so that no frame is drawn in the other one. */
export function useTheme(): void {
  const { theme } = useAtomValue(userPreferencesAtom);
  useLayoutEffect(() => {
    document.documentElement.dataset.theme = theme;
  }, [theme]);
}
