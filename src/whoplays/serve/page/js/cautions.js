// What to know before trusting a result: the server's own words in English, the same by code in Polish.
import { capital, language } from "./words.js";

const POLISH = {
  silent: ["nagranie nie zawiera dźwięku powyżej -100 dBFS", "sprawdź nagranie i wejście"],
  quiet: ["nagranie jest prawie nieme", "nagraj głośniej; podgłośnienie teraz podniesie także szum"],
  clipped: ["nagranie jest przesterowane", "zniekształcenia mogą uchodzić za gitarę elektryczną lub instrumenty blaszane: nagraj ciszej"],
  channels: ["kanały znoszą się, milczą lub jest ich więcej niż dwa", "wybierz jeden kanał albo sprawdź każdy z osobna"],
  damaged: ["części nagrania nie da się odczytać", "w jej miejscu jest cisza: użyj nieuszkodzonej kopii"],
  cut_short: ["plik nagrania jest ucięty", "brakuje końca: użyj pełnej kopii"],
  tracks: ["plik ma kilka ścieżek dźwiękowych, a użyto jednej", "wybierz inną: parametr track"],
  low_rate: ["częstotliwość próbkowania jest zbyt niska", "użyj nagrania o częstotliwości 22050 Hz lub wyższej"],
  sample_rate: ["częstotliwość próbkowania wygląda na niewłaściwą", "użyj oryginału; błędna częstotliwość przesuwa każdy dźwięk"],
  short: ["nagranie jest bardzo krótkie", "instrumenty rozpoznaje się w ciągu sekund: podaj 1 s lub więcej"],
  nothing_heard: ["żadna z rodzin nie osiąga progu", "to może być mowa, szum lub inny instrument; wyniki nie mówią, który"],
  mostly_unheard: ["przez większość czasu nie słychać żadnej z rodzin", "reszta to być może mowa, szum lub inne instrumenty: zobacz, kiedy"],
};

/** Return one sentence for a caution of the result ({code, message, advice}, or plain words). */
export function caution(w) {
  if (typeof w === "string") return w;
  const [message, advice] = (language() === "pl" && POLISH[w.code]) || [w.message, w.advice];
  return `${capital(message)}: ${advice}.`;
}
