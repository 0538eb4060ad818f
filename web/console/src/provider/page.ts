import type { RaRecord } from "react-admin";

/** The rows that a list has returned, as react-admin takes them: counted, or with a word on the next page. */
export interface Page {
  data: RaRecord[];
  total?: number | undefined;
  pageInfo?: { hasNextPage?: boolean } | undefined;
}

/** Whether there are more rows than the first page has. */
export function isCut({ data, total, pageInfo }: Page): boolean {
  return pageInfo?.hasNextPage ?? (total ?? 0) > data.length;
}
