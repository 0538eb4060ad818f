import type { Row } from "../actions/actions";

export interface Node {
  row: Row;
  children: Node[];
}

/** Rows as a tree by their parents. A row whose parent is not among them is a root: agents see their part only. */
export function tree(rows: Row[], parent: string): Node[] {
  const nodes = new Map(rows.map((row): [string, Node] => [String(row.id), { row, children: [] }]));
  const roots: Node[] = [];
  for (const node of nodes.values()) {
    const above = nodes.get(String(node.row[parent]));
    if (above) above.children.push(node);
    else roots.push(node);
  }
  return roots;
}
