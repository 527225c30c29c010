// What a React app has anyway. Cart.tsx is the README's, put here by the test.

import { createElement } from 'react';
import { createRoot } from 'react-dom/client';
import { Cart } from './Cart.tsx';

createRoot(document.getElementById('root')).render(createElement(Cart));
