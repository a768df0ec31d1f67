declare module "*messages.json" {
  export const browser: Record<string, { en: string; pl: string }>;
  export const warning: Record<string, { en: string; pl: string }>;
}

declare module "*package.json" {
  export const version: string;
}
