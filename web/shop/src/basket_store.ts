import { type Basket, readBasket } from "./basket";

/**
 * Where baskets survive a reload: IndexedDB, one for each account. localStorage holds nothing but the refresh
 * token. A browser without IndexedDB (some private windows) forgets the basket at a reload.
 */

const STORE = "baskets";

let connection: Promise<IDBDatabase> | undefined;

/** The database, which stays open: what is saved just before a reload must not wait until it is opened. */
function open(): Promise<IDBDatabase> {
  const forget = () => {
    connection = undefined;
  };
  connection ??= new Promise<IDBDatabase>((resolve, reject) => {
    const request = indexedDB.open("alfa-hub.shop", 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE);
    request.onsuccess = () => {
      const database = request.result;
      database.onclose = forget;
      database.onversionchange = () => {
        forget();
        database.close();
      };
      resolve(database);
    };
    request.onerror = () => {
      forget();
      reject(request.error);
    };
  });
  return connection;
}

async function run<T>(mode: IDBTransactionMode, work: (store: IDBObjectStore) => IDBRequest<T>): Promise<T> {
  const database = await open();
  return new Promise<T>((resolve, reject) => {
    const transaction = database.transaction(STORE, mode);
    const request = work(transaction.objectStore(STORE));
    transaction.oncomplete = () => resolve(request.result);
    transaction.onabort = () => reject(transaction.error);
    transaction.commit(); // at once: a page that is left does not hear that the request succeeded
  });
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
