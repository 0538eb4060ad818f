import { type Basket, readBasket } from "./basket";

/**
 * Where baskets survive a reload: IndexedDB, one for each account. localStorage holds nothing but the refresh
 * token. A browser without IndexedDB (some private windows) forgets the basket at a reload.
 */

const STORE = "baskets";

function open(): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open("alfa-hub.shop", 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

async function run<T>(mode: IDBTransactionMode, work: (store: IDBObjectStore) => IDBRequest<T>): Promise<T> {
  const database = await open();
  try {
    return await new Promise<T>((resolve, reject) => {
      const transaction = database.transaction(STORE, mode);
      const request = work(transaction.objectStore(STORE));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onabort = () => reject(transaction.error);
    });
  } finally {
    database.close();
  }
}

/** The basket of an account, empty if there is none. */
export async function loadBasket(account: string): Promise<Basket> {
  return readBasket(await run<unknown>("readonly", (store) => store.get(account)).catch(() => undefined));
}

export async function saveBasket(account: string, basket: Basket): Promise<void> {
  await run("readwrite", (store) => store.put(basket, account)).catch(() => undefined);
}

/** Forget one account's basket, or those of all accounts. */
export async function clearBaskets(account?: string): Promise<void> {
  await run("readwrite", (store) => (account ? store.delete(account) : store.clear())).catch(() => undefined);
}
