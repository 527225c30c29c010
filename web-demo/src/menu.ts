import type { ComponentType } from 'react';
import { CaliforniaRoll } from './illustrations/CaliforniaRoll';
import { EbiNigiri } from './illustrations/EbiNigiri';
import { IkuraGunkan } from './illustrations/IkuraGunkan';
import { MaguroNigiri } from './illustrations/MaguroNigiri';
import { MatchaMochi } from './illustrations/MatchaMochi';
import { MisoSoup } from './illustrations/MisoSoup';
import { SakeNigiri } from './illustrations/SakeNigiri';
import { TamagoNigiri } from './illustrations/TamagoNigiri';
import { TekkaMaki } from './illustrations/TekkaMaki';

export interface Dish {
  readonly id: string;
  readonly name: string;
  readonly description: string;
  readonly priceCents: number;
  readonly Illustration: ComponentType;
}

export interface Course {
  readonly id: string;
  readonly name: string;
  readonly note: string;
  readonly dishes: readonly Dish[];
}

export const courses: readonly Course[] = [
  {
    id: 'nigiri',
    name: 'Nigiri',
    note: 'Two pieces, pressed to order',
    dishes: [
      {
        id: 'maguro-nigiri',
        name: 'Maguro nigiri',
        description: 'Lean bluefin tuna, brushed with aged soy',
        priceCents: 720,
        Illustration: MaguroNigiri,
      },
      {
        id: 'sake-nigiri',
        name: 'Sake nigiri',
        description: 'Salmon belly, a little sea salt, lemon',
        priceCents: 640,
        Illustration: SakeNigiri,
      },
      {
        id: 'ebi-nigiri',
        name: 'Ebi nigiri',
        description: 'Sweet prawn, poached and butterflied',
        priceCents: 610,
        Illustration: EbiNigiri,
      },
    ],
  },
  {
    id: 'maki',
    name: 'Maki and gunkan',
    note: 'Rolled in toasted nori',
    dishes: [
      {
        id: 'tekka-maki',
        name: 'Tekka maki',
        description: 'Six thin tuna rolls with fresh wasabi',
        priceCents: 580,
        Illustration: TekkaMaki,
      },
      {
        id: 'ikura-gunkan',
        name: 'Ikura gunkan',
        description: 'Salmon roe in a warship of crisp nori',
        priceCents: 890,
        Illustration: IkuraGunkan,
      },
      {
        id: 'california-roll',
        name: 'California roll',
        description: 'Crab, avocado and cucumber, in sesame',
        priceCents: 950,
        Illustration: CaliforniaRoll,
      },
    ],
  },
  {
    id: 'finish',
    name: 'To finish',
    note: 'Something warm, something sweet',
    dishes: [
      {
        id: 'tamago-nigiri',
        name: 'Tamago nigiri',
        description: 'Layered omelette, tied with a nori band',
        priceCents: 480,
        Illustration: TamagoNigiri,
      },
      {
        id: 'miso-soup',
        name: 'Miso soup',
        description: 'Red miso, silken tofu, spring onion',
        priceCents: 420,
        Illustration: MisoSoup,
      },
      {
        id: 'matcha-mochi',
        name: 'Matcha mochi',
        description: 'Two soft rice cakes, whisked green tea',
        priceCents: 560,
        Illustration: MatchaMochi,
      },
    ],
  },
];

const dishesById = new Map(courses.flatMap((course) => course.dishes).map((dish) => [dish.id, dish]));

/** The dish of that id. Ids come from this menu alone, so an unknown one is a bug and throws. */
export function dishById(id: string): Dish {
  const dish = dishesById.get(id);
  if (dish === undefined) throw new RangeError(`no dish "${id}" on the menu`);
  return dish;
}
