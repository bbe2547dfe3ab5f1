// Files as text: Vitest gives the content of what is imported with `?raw`.

declare module "*?raw" {
  const text: string;
  export default text;
}
