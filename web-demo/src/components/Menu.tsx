import { courses } from '../menu';
import { DishCard } from './DishCard';
import styles from './Menu.module.css';

export function Menu() {
  return (
    <section id="menu" aria-labelledby="menu-heading" className={styles.menu}>
      <h2 id="menu-heading" className={styles.heading}>
        Menu
      </h2>
      {courses.map((course) => (
        <section key={course.id} aria-labelledby={`course-${course.id}`}>
          <header className={styles.course}>
            <h3 id={`course-${course.id}`} className={styles.name}>
              {course.name}
            </h3>
            <p className={styles.note}>{course.note}</p>
          </header>
          <ul className={styles.dishes}>
            {course.dishes.map((dish) => (
              <DishCard key={dish.id} dish={dish} />
            ))}
          </ul>
        </section>
      ))}
    </section>
  );
}
