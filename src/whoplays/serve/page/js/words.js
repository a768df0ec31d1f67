// What the page says, in both languages; and how it writes times and shares.

const WORDS = {
  en: {
    skip: "Skip to the content", language: "Language", title: "Who plays, and when?",
    lead: "Drop in a recording and see which instruments play, and when.",
    drop: "Drop recordings here", dropNow: "Let go to hear them", choose: "Choose a file", record: "Record",
    examples: "No recording at hand? Try one of ours", limits: "Audio or video, up to {mb} MB and {minutes} minutes.",
    listening: "Listening", stop: "Stop and hear it whole", recordings: "Recordings",
    liveNote: "What was heard in the last seconds. When you stop, the whole recording is heard.",
    kept: "Recordings are deleted as soon as they are heard.", model: "Model {model}.",
    askTitle: "This server asks for a token", askWords: "Whoever runs it can tell you.", token: "Token", cancel: "Cancel", go: "Go on",
    waiting: "Waiting", uploading: "Uploading", hearing: "Listening", heardOf: "{heard} of {all} heard", heard: "{heard} heard",
    done: "Done", failed: "Could not be heard", retry: "Try again", remove: "Remove {name}", stopIt: "Stop",
    and: "and", maybe: "maybe", maybeLead: "Maybe: {names}.", none: "None of the {n} families", noneLead: "The likeliest is {name}, with a score of {score}.",
    facts: "{duration} · {rate} kHz", play: "Play", pause: "Pause", position: "Position", noPlay: "This browser cannot play this kind of file; what was heard is shown all the same.",
    timeline: "When each instrument plays", wave: "Waveform", scores: "How sure it is", label: "Instrument", score: "Score", share: "Of the time",
    scoreNote: "A score says how likely it is that the instrument plays at some time in the recording. From its own mark on ({mark}) it counts as playing.",
    pie: "Share of playing time", pieOf: "{n} of {all}", pieWords: "families", moments: "Telling moments", momentsNote: "Where each instrument is clearest.", fromThere: ", play from there",
    warnings: "Before you trust this", downloads: "Take it with you", json: "JSON", csv: "CSV table", audacity: "Audacity labels", report: "Report (HTML)",
    stretch: "{name} {from} to {to}, score {score}", shareNone: "not heard",
    away: "The server cannot be reached. Is whoplays serve still running?", tooLarge: "This file has {size}; at most {mb} MB can be sent.",
    busy: "The server is busy. Trying again in {seconds} s.", noMic: "No microphone can be used: {why}",
    saidDone: "{name}: heard {names}.", saidNone: "{name}: none of the families was heard.", saidFailed: "{name} could not be heard. {why}",
    recordingName: "Recording {n}", reportMade: "Made by whoplays {version}, model {model}.", example: "Example",
    gone: "The result was no longer kept; choose the file again.", filter: "Filter", filterByName: "No expression (at “{at}”), so names are searched. For example: strings and not drums; guitar alone >= 10; maybe(brass).",
    exports: "Export what is listed or selected", exportZip: "Labels (ZIP)", exportM3u: "Playlist", removeSelected: "Remove selected", clear: "Clear all", queue: "Queue",
    keptHere: "Results, not the sound, are kept in this browser until you clear them.", selectAll: "Select all", select: "Select {name}", undo: "Undo", removed: "Removed: {n}.",
    colName: "Name", colLength: "Length", colPlays: "What plays", colSure: "Least score", countOf: "{shown} of {all}", countLeft: "{n} to go", countFailed: "{n} failed", countSelected: "{n} selected",
    or: "or", notFound: "Looked for and not found: {names}.", instrumentsOf: "Instruments of {name}", unsureStretch: "Maybe {name} {from} to {to}, score {score}",
    zoom: "Zoom", zoomIn: "Zoom in (+)", zoomOut: "Zoom out (−)", zoomFit: "Show all (0)", from: "From", to: "To",
    segments: "Segments ({n})", copy: "Copy as text", copied: "Copied.", notCopied: "The browser did not allow copying.", repeatOf: "Repeat {from} to {to}",
    playOnly: "Play", everything: "everything", onlyWhere: "only where {name} plays", onlyAlone: "only where {name} plays alone", onlyTogether: "only where {a} and {b} play together",
    playAll: "Play everything", nowhere: "Nowhere in this recording.", repeating: "Repeating {from} to {to}.", noSound: "The sound is not kept; choose the same file again to hear it.",
    sureTitle: "How sure should it be?", sureFewer: "Fewer mistakes", sureMore: "Misses nothing",
    sureCost: "On real songs: {precision} of what is named plays, {recall} of what plays is named.", sureBetween: "Between two measured positions.", sureUnknown: "What this costs was not measured for this model.",
    space: "Space", keys: "Keys", close: "Close", keyPlay: "play or pause", keySeek: "5 seconds back or on", keySegment: "next or previous segment", keyFile: "next or previous recording", keyZoom: "zoom in, out, show all", keyPan: "move the view", keyLoop: "repeat the segment at this time", keyHelp: "this list",
    "violin-and-piano.ogg": "Violin and piano", "band.ogg": "Guitar and drums", "brass-quartet.ogg": "Brass quartet", level: "Level",
  },
  pl: {
    skip: "Przejdź do treści", language: "Język", title: "Kto gra i kiedy?",
    lead: "Upuść nagranie i zobacz, które instrumenty grają i kiedy.",
    drop: "Upuść tu nagrania", dropNow: "Puść, aby ich posłuchać", choose: "Wybierz plik", record: "Nagraj",
    examples: "Nie masz nagrania pod ręką? Wypróbuj nasze", limits: "Dźwięk lub wideo, do {mb} MB i {minutes} minut.",
    listening: "Słucham", stop: "Zatrzymaj i posłuchaj całości", recordings: "Nagrania",
    liveNote: "Co było słychać w ostatnich sekundach. Po zatrzymaniu wysłuchane zostanie całe nagranie.",
    kept: "Nagrania są usuwane zaraz po wysłuchaniu.", model: "Model {model}.",
    askTitle: "Ten serwer pyta o token", askWords: "Zna go osoba, która prowadzi serwer.", token: "Token", cancel: "Anuluj", go: "Dalej",
    waiting: "Czeka", uploading: "Wysyłanie", hearing: "Słucham", heardOf: "wysłuchano {heard} z {all}", heard: "wysłuchano {heard}",
    done: "Gotowe", failed: "Nie udało się wysłuchać", retry: "Spróbuj ponownie", remove: "Usuń {name}", stopIt: "Przerwij",
    and: "i", maybe: "być może", maybeLead: "Być może: {names}.", none: "Żadna z {n} rodzin", noneLead: "Najbliżej: {name}, wynik {score}.",
    facts: "{duration} · {rate} kHz", play: "Odtwórz", pause: "Wstrzymaj", position: "Pozycja", noPlay: "Ta przeglądarka nie odtwarza takich plików; wynik i tak jest poniżej.",
    timeline: "Kiedy gra który instrument", wave: "Fala dźwiękowa", scores: "Jak bardzo to pewne", label: "Instrument", score: "Wynik", share: "Część czasu",
    scoreNote: "Wynik mówi, jak prawdopodobne jest, że instrument gra w którejś chwili nagrania. Od jego progu ({mark}) uznajemy, że gra.",
    pie: "Udział w czasie gry", pieOf: "{n} z {all}", pieWords: "rodzin", moments: "Znamienne chwile", momentsNote: "Gdzie każdy instrument słychać najwyraźniej.", fromThere: ", odtwórz od tego miejsca",
    warnings: "Zanim temu zaufasz", downloads: "Zabierz ze sobą", json: "JSON", csv: "Tabela CSV", audacity: "Etykiety Audacity", report: "Raport (HTML)",
    stretch: "{name} od {from} do {to}, wynik {score}", shareNone: "nie słychać",
    away: "Serwer nie odpowiada. Czy whoplays serve nadal działa?", tooLarge: "Ten plik ma {size}; można wysłać najwyżej {mb} MB.",
    busy: "Serwer jest zajęty. Ponowna próba za {seconds} s.", noMic: "Nie można użyć mikrofonu: {why}",
    saidDone: "{name}: słychać: {names}.", saidNone: "{name}: nie słychać żadnej z rodzin.", saidFailed: "{name}: nie udało się wysłuchać. {why}",
    recordingName: "Nagranie {n}", reportMade: "Raport utworzył whoplays {version}, model {model}.", example: "Przykład",
    gone: "Wynik nie jest już przechowywany; wybierz plik ponownie.", filter: "Filtr", filterByName: "To nie jest wyrażenie (przy „{at}”), więc szukam w nazwach. Na przykład: strings and not drums; guitar alone >= 10; maybe(brass).",
    exports: "Zapisz widoczne lub zaznaczone", exportZip: "Etykiety (ZIP)", exportM3u: "Lista odtwarzania", removeSelected: "Usuń zaznaczone", clear: "Wyczyść wszystko", queue: "Kolejka",
    keptHere: "Wyniki, bez dźwięku, są przechowywane w tej przeglądarce, dopóki ich nie wyczyścisz.", selectAll: "Zaznacz wszystko", select: "Zaznacz {name}", undo: "Cofnij", removed: "Usunięto: {n}.",
    colName: "Nazwa", colLength: "Długość", colPlays: "Co gra", colSure: "Najniższy wynik", countOf: "{shown} z {all}", countLeft: "pozostało: {n}", countFailed: "nieudane: {n}", countSelected: "zaznaczone: {n}",
    or: "ani", notFound: "Szukano i nie znaleziono: {names}.", instrumentsOf: "Instrumenty: {name}", unsureStretch: "Być może {name} od {from} do {to}, wynik {score}",
    zoom: "Powiększenie", zoomIn: "Powiększ (+)", zoomOut: "Pomniejsz (−)", zoomFit: "Pokaż całość (0)", from: "Od", to: "Do",
    segments: "Odcinki ({n})", copy: "Kopiuj jako tekst", copied: "Skopiowano.", notCopied: "Przeglądarka nie pozwoliła na kopiowanie.", repeatOf: "Powtarzaj od {from} do {to}",
    playOnly: "Odtwarzaj", everything: "wszystko", onlyWhere: "tylko gdzie gra {name}", onlyAlone: "tylko gdzie {name} gra bez innych", onlyTogether: "tylko gdzie razem grają {a} i {b}",
    playAll: "Odtwarzaj wszystko", nowhere: "Nigdzie w tym nagraniu.", repeating: "Powtarzane: od {from} do {to}.", noSound: "Dźwięk nie jest przechowywany; wybierz ten sam plik ponownie, aby go odtworzyć.",
    sureTitle: "Jak pewny ma być wynik?", sureFewer: "Mniej pomyłek", sureMore: "Nic nie umknie",
    sureCost: "Na prawdziwych utworach: {precision} z wymienionych gra, {recall} z grających wymieniono.", sureBetween: "Między dwiema zmierzonymi pozycjami.", sureUnknown: "Dla tego modelu nie zmierzono, ile to kosztuje.",
    space: "Spacja", keys: "Klawisze", close: "Zamknij", keyPlay: "odtwarzanie lub pauza", keySeek: "5 sekund wstecz lub dalej", keySegment: "następny lub poprzedni odcinek", keyFile: "następne lub poprzednie nagranie", keyZoom: "powiększenie, pomniejszenie, całość", keyPan: "przesunięcie widoku", keyLoop: "powtarzanie odcinka w tym miejscu", keyHelp: "ta lista",
    "violin-and-piano.ogg": "Skrzypce i fortepian", "band.ogg": "Gitara i perkusja", "brass-quartet.ogg": "Kwartet blaszany", level: "Poziom",
  },
};

const stored = (() => { try { return localStorage.getItem("lang"); } catch { return null; } })();
let lang = stored in WORDS ? stored : (navigator.language || "en").toLowerCase().startsWith("pl") ? "pl" : "en";

export const language = () => lang;

export function setLanguage(chosen) {
  lang = chosen;
  try { localStorage.setItem("lang", chosen); } catch { /* private windows keep nothing */ }
}

/** Return the words under `key`, with {places} filled in. */
export function t(key, values = {}) {
  const words = WORDS[lang][key] ?? WORDS.en[key] ?? key;
  return words.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

/** Write the words into every element that asks for them. */
export function translate(root = document) {
  document.documentElement.lang = lang;
  for (const e of root.querySelectorAll("[data-t]")) e.textContent = t(e.dataset.t);
  for (const e of root.querySelectorAll("[data-t-label]")) e.setAttribute("aria-label", t(e.dataset.tLabel));
  for (const b of document.querySelectorAll("[data-lang]")) b.setAttribute("aria-pressed", String(b.dataset.lang === lang));
}

/** 75.4 -> "1:15". */
export function clock(seconds) {
  const s = Math.floor(seconds + 0.5);
  const two = (n) => String(n).padStart(2, "0");
  return s >= 3600 ? `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}` : `${Math.floor(s / 60)}:${two(s % 60)}`;
}

export const number = (value, digits = 2) => value.toLocaleString(lang, { minimumFractionDigits: digits, maximumFractionDigits: digits });
export const percent = (value) => value.toLocaleString(lang, { style: "percent", maximumFractionDigits: 0 });
export const megabytes = (bytes) => `${(bytes / 1048576).toLocaleString(lang, { maximumFractionDigits: 1 })} MB`;
export const capital = (text) => text.charAt(0).toLocaleUpperCase(lang) + text.slice(1);

/** ["a", "b", "c"] -> "a, b and c". */
export const listed = (names, joint = "and") =>
  names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} ${t(joint)} ${names.at(-1)}`;
