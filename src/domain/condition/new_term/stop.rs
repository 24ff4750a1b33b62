//! Words that are no news whenever they come: folded, of the languages of most posts.

use std::collections::HashSet;
use std::sync::LazyLock;

const WORDS: [&str; 5] = [
    "the and that for was are with his they this from have not but what all were when there can your which their will \
     each how them then she many some these would other into has more her two him see could make than been its now over \
     did down only long get just like out about one people time day days today know good new really got who why where \
     because been before after again any also always another anyone anything around away back being both came come \
     comes coming doing done dont doesnt didnt isnt cant wont wasnt even ever every everyone everything few first \
     gets getting give goes going gone gonna had hasnt havent here hes hey hope ill ive its itself lets let look looks \
     lot made makes maybe might most much must myself need never next nothing off often okay once our own part please \
     put quite rather right said same saw say saying says seem seems seen shes should since someone something soon \
     still such sure take taken taking tell thats theres theyre thing things think those though thought three through \
     told too took try trying under until upon use used using very want wants was way wed well went were weve whats \
     whatever while whole whos will with without wont yes yet you youre yours yourself last year years week weeks \
     month months hour hours minute minutes morning evening night tonight tomorrow yesterday weekend later early late \
     monday tuesday wednesday thursday friday saturday sunday january february march april may june july august \
     september october november december http https www com amp via lol omg",
    "que los las del por con una para como mas pero sus sin sobre este esta esto estos estas entre cuando todo todos \
     toda todas ser son dos tambien fue habia era muy anos hasta desde porque hoy bien hay nos eso ese esa dia dias \
     asi cada donde esta estan estoy han hacer hace hecho hora horas mes meses semana manana ayer noche nada nadie \
     nunca otra otro otros otras parece poco puede pueden quien siempre solo tan tanto tener tengo tiene tienen tuvo \
     uno vez veces voy lunes martes miercoles jueves viernes sabado domingo enero febrero marzo abril mayo junio \
     julio agosto septiembre octubre noviembre diciembre",
    "les des une est pour qui dans par plus pas sur que sont avec son ses ont aux cette ces mais comme tout tous nous \
     vous fait ete aussi leur leurs bien elle elles ils tres meme jour jours moi cest alors apres avant avoir chez \
     depuis deux donc encore entre etait etre faire faut hier ici jamais jai mes mon notre parce peu peut quand quel \
     quelle rien sans sera soir suis toujours trop votre heure heures semaine mois ans annee demain matin nuit lundi \
     mardi mercredi jeudi vendredi samedi dimanche janvier fevrier mars avril mai juin juillet aout septembre octobre \
     novembre decembre aujourdhui",
    "der die und das den von mit sich des auf fur ist dem nicht ein eine einen einem einer auch werden aus hat dass sie \
     nach wird bei noch wie uber zum zur war haben nur oder aber vor bis mehr durch man ich wir ihr heute schon mal \
     alle alles also andere beim bin bist dann denn dies diese dieser dieses doch dort drei etwas euch ganz gar gegen \
     gerade gibt habe hatte hier ihm ihn ihre immer ins jetzt jede jeder kann kein keine konnen machen macht mein \
     meine mich mir muss nein nichts nie ohne sehr sein seine seit sind soll uns unter viel viele vom wann warum was \
     weil weiter wenn wer werde wieder will wirklich wurde zwei uhr stunde stunden tag tage woche wochen monat jahr \
     jahre gestern morgen abend nacht montag dienstag mittwoch donnerstag freitag samstag sonntag januar februar marz \
     april juni juli oktober dezember",
    "che per del non una con sono della dei nel come piu anche alla dal gli mia mio suo sua questo questa quello tutto \
     tutti fatto essere stato molto bene cosi quando dove perche ora ore oggi ieri domani giorno giorni settimana mese \
     anno anni lunedi martedi mercoledi giovedi venerdi sabato domenica gennaio febbraio aprile maggio giugno luglio \
     settembre ottobre dicembre nao uma com mais dos foi sao isso ele ela voce tem mas muito quando porque aqui ainda \
     agora sem mesmo aos seus quem nas essa esse eles hoje ontem amanha dia dias semana mes ano anos hora horas segunda \
     terca quarta quinta sexta domingo janeiro fevereiro marco maio junho julho setembro outubro novembro dezembro",
];

static SET: LazyLock<HashSet<&str>> = LazyLock::new(|| WORDS.iter().flat_map(|words| words.split(' ')).collect());

/// Whether a folded word is never news.
pub fn is_stop(word: &str) -> bool {
    SET.contains(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_folded_and_long_enough_to_be_terms() {
        for word in &*SET {
            assert!(word.chars().count() >= 3, "{word:?}");
            assert_eq!(crate::domain::text::Words::of(word).normalised(0), *word);
        }
        assert!(is_stop("monday") && is_stop("porque") && !is_stop("fire") && !is_stop("feuer"));
    }
}
