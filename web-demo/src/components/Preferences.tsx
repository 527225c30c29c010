import { useAtom } from 'jotai';
import { userPreferencesAtom } from '../atoms/userPreferences';
import { Bell } from '../illustrations/Bell';
import { Moon } from '../illustrations/Moon';
import styles from './Preferences.module.css';
import { Switch } from './Switch';

export function Preferences() {
  const [preferences, setPreferences] = useAtom(userPreferencesAtom);
  return (
    // biome-ignore lint/a11y/useSemanticElements: these are not fields of a form, so not a <fieldset>
    <div role="group" aria-label="Preferences" className={styles.group}>
      <Switch
        label="Dark theme"
        on={preferences.theme === 'dark'}
        onChange={(on) => setPreferences({ ...preferences, theme: on ? 'dark' : 'light' })}
      >
        <Moon />
      </Switch>
      <Switch
        label="Notifications"
        on={preferences.notifications}
        onChange={(notifications) => setPreferences({ ...preferences, notifications })}
      >
        <Bell />
      </Switch>
    </div>
  );
}
