/** react-admin looks names of columns up per list; the console has one name for one thing in all of them. */
export function withFields(names: Record<string, string>, fields: Record<string, string>) {
  return Object.fromEntries(
    Object.entries(names).map(([resource, name]) => [resource, { name: `${name} |||| ${name}`, fields }]),
  );
}
