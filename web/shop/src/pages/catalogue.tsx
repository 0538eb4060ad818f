import { number, rupiah } from "@alfa-hub/common/format";
import { useComputed, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";

import { quantityOf, withQuantity } from "../basket";
import { asTree, type Product, search, unitPrice } from "../catalogue";
import { type Account, t } from "../state";
import { Loading, Problem, Stepper, Title, useLoad } from "../ui";

/** Products drawn at once: a slow phone shows a first screen quickly. */
const SHOWN = 24;

export function CataloguePage({ account }: { account: Account }) {
  const loading = useLoad(() => account.readCatalogue());
  const words = useSignal("");
  const brand = useSignal("");
  const category = useSignal("");
  const shown = useSignal(SHOWN);
  const found = useComputed(() => {
    const catalogue = account.catalogue.value;
    return catalogue
      ? search(catalogue, { words: words.value, brand: brand.value, category: category.value })
      : [];
  });
  useEffect(() => {
    shown.value = SHOWN;
  }, [words.value, brand.value, category.value]);
  const catalogue = account.catalogue.value;
  return (
    <>
      <Title>{t("tab.catalogue")}</Title>
      <div class="filters" role="search">
        <input
          type="search"
          aria-label={t("search")}
          placeholder={t("search")}
          value={words.value}
          onInput={(event) => (words.value = event.currentTarget.value)}
        />
        <select
          aria-label={t("brand")}
          value={brand.value}
          onChange={(event) => (brand.value = event.currentTarget.value)}
        >
          <option value="">{t("allBrands")}</option>
          {catalogue?.brands
            .filter((each) => each.is_active)
            .map(({ id, name }) => (
              <option key={id} value={id}>
                {name}
              </option>
            ))}
        </select>
        <select
          aria-label={t("category")}
          value={category.value}
          onChange={(event) => (category.value = event.currentTarget.value)}
        >
          <option value="">{t("allCategories")}</option>
          {catalogue &&
            asTree(catalogue.categories).map(({ id, name, depth }) => (
              <option key={id} value={id}>
                {"\u2003".repeat(depth) + name}
              </option>
            ))}
        </select>
      </div>
      <Problem error={loading.error} retry={loading.reload} />
      {!catalogue && !loading.error && <Loading />}
      {catalogue && (
        <p class="hint" role="status">
          {found.value.length ? t("products", { count: number(found.value.length) }) : t("noProducts")}
        </p>
      )}
      <ul class="cards">
        {found.value.slice(0, shown.value).map((product) => (
          <ProductCard key={product.id} account={account} product={product} />
        ))}
      </ul>
      {found.value.length > shown.value && (
        <button type="button" class="wide" onClick={() => (shown.value += SHOWN)}>
          {t("showMore")}
        </button>
      )}
      <BasketBar account={account} />
    </>
  );
}

function ProductCard({ account, product }: { account: Account; product: Product }) {
  const stock = account.stock.value.get(product.sku);
  const basket = account.basket.value;
  const quantity = quantityOf(basket, product.sku);
  const units = stock?.units ?? 0;
  const { min_qty_discount: from, discount_price: lower } = product;
  const isReduced = unitPrice(product, quantity) < product.price;
  const set = (wanted: number) => void account.setBasket(withQuantity(basket, product.sku, wanted));
  return (
    <li class="card product">
      <h2>{product.name}</h2>
      <p class="sku">{product.sku}</p>
      {product.description && <p class="description">{product.description}</p>}
      <p class="price">
        <strong>{rupiah(unitPrice(product, quantity))}</strong>
        {isReduced && <s>{rupiah(product.price)}</s>}
        {product.retail_price !== null && (
          <span class="hint">{t("retailPrice", { price: rupiah(product.retail_price) })}</span>
        )}
      </p>
      {from !== null && lower !== null && (
        <p class={isReduced ? "discount reached" : "discount"}>
          {t("quantityDiscount", { count: number(from), price: rupiah(lower) })}
        </p>
      )}
      <div class="row">
        <span class={units === 0 ? "stock none" : units < 10 ? "stock few" : "stock"}>
          {units === 0 ? t("soldOut") : units < 10 ? t("stockFew", { count: units }) : t("inStock", { count: number(units) })}
          {stock?.isStale && <small> {t("stockStale")}</small>}
        </span>
        {quantity > 0 ? (
          <Stepper
            label={product.name}
            value={quantity}
            isDisabled={basket.isPending}
            onChange={set}
          />
        ) : (
          <button
            type="button"
            class="primary"
            disabled={units === 0 || basket.isPending}
            aria-label={`${t("addToBasket")}: ${product.name}`}
            onClick={() => set(1)}
          >
            {t("addToBasket")}
          </button>
        )}
      </div>
    </li>
  );
}

/** What is in the basket, always in reach of the thumb. */
function BasketBar({ account }: { account: Account }) {
  const { lines, isPending } = account.basket.value;
  if (!lines.length) return null;
  const products = new Map(account.catalogue.value?.products.map((product) => [product.sku, product]));
  const total = lines.reduce((sum, { sku, quantity }) => {
    const product = products.get(sku);
    return sum + (product ? unitPrice(product, quantity) * quantity : 0);
  }, 0);
  return (
    <a class="basket-bar" href="#/basket">
      <span>{isPending ? t("basketPending") : t("basketSummary", { count: lines.length, total: rupiah(total) })}</span>
      <span>{t("basket")} ›</span>
    </a>
  );
}
