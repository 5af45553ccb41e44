//! What a customer-care person would say of short texts in seven languages: kind, category, urgency.
//!
//! Written from the rules of the taxonomy, not from the lexicons: emergencies put politely or in passing, the same words
//! where they mean nothing, denials, and "not urgent" in every form. `-` stands for a label that the text leaves open.

use outcry_classify::{Classifier, Input};
use std::sync::LazyLock;

/// Text, and kind, category, urgency as said.
type Row = (&'static str, &'static str);

static CLASSIFIER: LazyLock<Classifier> = LazyLock::new(Classifier::builtin);

fn wrong_rows(language: &str, rows: &[Row]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (text, expected) in rows {
        let said = CLASSIFIER.classify(&Input::new(text));
        let answers = [said.kind.label.as_str(), said.category.label.as_str(), said.urgency.label.as_str()];
        let differs = expected.split(' ').zip(answers).any(|(label, answer)| label != "-" && label != answer);
        if differs || said.language.label != language {
            wrong.push(format!(
                "[{}] {text}\n    expected {expected}, said {}",
                said.language.label,
                answers.join(" ")
            ));
        }
    }
    wrong
}

fn holds(language: &str, least: usize, rows: &[Row]) {
    assert!(rows.len() >= least, "{language}: {} texts, at least {least} are asked for", rows.len());
    let wrong = wrong_rows(language, rows);
    assert!(wrong.is_empty(), "{} of {} in {language}:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}

#[test]
fn italian() {
    holds(
        "it",
        15,
        &[
            (
                "Gentilmente vi informo che dal tostapane è uscito del fumo e mio figlio si è scottato. Grazie.",
                "- safety critical",
            ),
            ("Senza fretta, ma in cucina sentiamo odore di gas da quando è venuto il tecnico.", "- - critical"),
            ("Buongiorno, non ho più voglia di vivere con tutti questi debiti.", "- - critical"),
            ("Mi avete mandato la fattura di un altro cliente con indirizzo e codice fiscale.", "complaint - critical"),
            ("Non abbiamo ricevuto l'insulina per mia madre, domani finisce.", "complaint - critical"),
            ("Stanno prelevando dal mio conto mentre vi scrivo!", "- privacy_fraud critical"),
            ("Se non rispondete mi rivolgo ad Agcom e a Codacons.", "complaint - high"),
            ("Siamo senza riscaldamento da tre giorni.", "complaint - high"),
            ("È la quarta volta che vi segnalo lo stesso guasto.", "complaint - high"),
            ("Non è urgente, ma il colore della tazza è diverso da quello ordinato.", "complaint - low"),
            ("Nessuna urgenza: vorrei solo sapere quando aprite a Torino.", "question - low"),
            ("Il pacco risulta consegnato ma io non ho ricevuto niente.", "complaint delivery normal"),
            ("mi avete addebitato due volte la bolletta, perche?", "complaint billing_payment normal"),
            ("Ho chiesto il rimborso un mese fa e ancora nulla.", "complaint refund_return normal"),
            ("L'app si blocca appena inserisco la password.", "complaint digital_account normal"),
            ("La commessa è stata maleducata e mi ha riso in faccia.", "complaint staff_conduct -"),
            ("Bravissimi, consegna puntuale e personale gentilissimo!", "praise - low"),
            ("Quanto costa la spedizione in Sardegna?", "question delivery normal"),
            ("Come si mette a fuoco la fotocamera del telefono?", "question - normal"),
            ("Tutto risolto, grazie mille per l'aiuto.", "praise - low"),
        ],
    );
}

#[test]
fn portuguese() {
    holds(
        "pt",
        15,
        &[
            ("Desculpem incomodar, mas a panela explodiu e minha filha está com queimaduras.", "- safety critical"),
            ("Sem pressa, só queria avisar que há cheiro a gás na cozinha desde a instalação.", "- - critical"),
            ("Não aguento mais viver assim, quero morrer.", "- - critical"),
            ("Recebi no meu e-mail os dados de outro cliente, com CPF e tudo.", "- - critical"),
            ("Fizeram um pix que não fiz, a conta está sendo esvaziada agora", "- privacy_fraud critical"),
            ("Não recebemos o leite especial do bebê, ele só pode tomar esse.", "complaint - critical"),
            ("Vou abrir reclamação no Procon e no Reclame Aqui.", "complaint - high"),
            ("Estamos sem luz desde ontem e ninguém atende.", "complaint - high"),
            ("Já é a terceira vez que o técnico não aparece.", "complaint service_failure high"),
            ("Não é urgente, quando puderem digam-me o horário da loja.", "question - low"),
            ("cadê meu estorno?? faz 3 semanas", "complaint refund_return normal"),
            ("A encomenda consta como entregue e não chegou nada cá a casa.", "complaint delivery normal"),
            ("Fui cobrada duas vezes na fatura deste mês.", "complaint billing_payment normal"),
            ("Não consigo cancelar a assinatura, é impossível.", "complaint contract_cancellation normal"),
            ("O aplicativo trava toda vez que tento entrar na conta.", "complaint digital_account normal"),
            ("A atendente foi grosseira e desligou na minha cara.", "complaint staff_conduct -"),
            ("Atendimento excelente, muito obrigada pela simpatia!", "praise - low"),
            ("Qual é o prazo de entrega para o Algarve?", "question delivery normal"),
            ("Achei a loja muito legal, adorei!", "praise - low"),
            ("O problema já foi resolvido, podem desconsiderar a mensagem.", "- - low"),
        ],
    );
}

#[test]
fn japanese() {
    holds(
        "ja",
        15,
        &[
            ("お忙しいところ恐れ入りますが、炊飯器から煙が出ました。", "- safety critical"),
            ("急ぎではありませんが、台所でガスの臭いがします。", "- - critical"),
            ("化粧水を使ったら顔が腫れて、病院に行きました。", "- safety critical"),
            ("離乳食の中にガラスの破片が入っていました。", "- safety critical"),
            ("もう死にたいです。借金の取り立てをやめてください。", "- - critical"),
            ("身に覚えのない引き落としが続いています。カードを止めてください。", "- privacy_fraud critical"),
            ("別の人の請求書が私に届いていますが、大丈夫でしょうか。", "- - critical"),
            ("母の酸素濃縮器が動かなくなり、とても困っております。", "complaint - critical"),
            ("改善がなければ消費生活センターに相談いたします。", "- - high"),
            ("三日間、停電したままです。", "- - high"),
            ("急ぎではありませんので、お時間のあるときに営業時間を教えてください。", "question - low"),
            ("注文した商品がまだ届きません。", "complaint delivery normal"),
            ("返品してからひと月になりますが、返金がありません。", "complaint refund_return normal"),
            ("アプリにログインできません。", "complaint digital_account normal"),
            ("店員の態度が悪くて不愉快でした。", "complaint staff_conduct normal"),
            ("今月の料金が二重に請求されています。", "complaint billing_payment normal"),
            ("とても使いやすく、買ってよかったです。", "praise - low"),
            ("送料はいくらですか。", "question delivery normal"),
            ("火災保険の資料を送ってください。", "request - normal"),
            ("けがはありませんが、椅子の脚が取れました。", "complaint product_quality normal"),
        ],
    );
}

#[test]
fn chinese() {
    holds(
        "zh",
        15,
        &[
            ("您好,打扰了,电饭煲昨晚冒烟了,孩子被烫伤。", "- safety critical"),
            ("不着急,就是想说一下厨房有煤气味。", "- - critical"),
            ("孩子吃了你们的酸奶以后上吐下泻,现在在医院。", "- safety critical"),
            ("我真的不想活了,催收天天打电话。", "- - critical"),
            ("我的银行卡正在被盗刷,请马上冻结!", "- privacy_fraud critical"),
            ("我的账户里看到了别人的订单和地址。", "- - critical"),
            ("奶奶的制氧机坏了,麻烦你们看看。", "- - critical"),
            ("再不处理我就打12315,同时找消协。", "complaint - high"),
            ("已經第三次報修了,還是沒有人來。", "complaint - high"),
            ("家里停水两天了,没人管。", "complaint - high"),
            ("不着急,有空的时候告诉我门店几点开门就行。", "question - low"),
            ("快递显示已签收,可是我没收到。", "complaint delivery normal"),
            ("退货十天了,退款还没到账。", "complaint refund_return normal"),
            ("这个月被重复扣款了。", "complaint billing_payment normal"),
            ("软件一打开就闪退,登录不了。", "complaint digital_account normal"),
            ("客服态度恶劣,还挂我电话。", "complaint staff_conduct -"),
            ("質量很好,物流也很快,五星好評!", "praise - low"),
            ("请问寄到新疆要多少运费?", "question delivery normal"),
            ("请问火锅底料还有货吗?", "question - normal"),
            ("杯子碎了,没有人受伤。", "complaint - normal"),
        ],
    );
}

#[test]
fn spanish() {
    holds(
        "es",
        10,
        &[
            ("Disculpen la molestia, pero la estufa echó humo y mi hijo se quemó la mano.", "- safety critical"),
            ("No es urgente, aunque desde la instalación huele a gas en la cocina.", "- - critical"),
            ("No nos ha llegado la insulina de mi padre.", "complaint - critical"),
            ("Están sacando dinero de mi cuenta ahora mismo.", "- privacy_fraud critical"),
            ("Veo en mi perfil los pedidos de otro cliente con su dirección.", "- - critical"),
            ("Voy a poner una hoja de reclamaciones y a llamar a la OMIC.", "complaint - high"),
            ("Llevamos cuatro días sin luz.", "complaint - high"),
            ("No es urgente: ¿me pueden decir el horario de la tienda?", "question - low"),
            ("El repartidor no vino y el paquete sigue sin llegar.", "complaint delivery normal"),
            ("Me han cobrado dos veces el mismo recibo.", "complaint billing_payment normal"),
            ("La app se cierra sola cuando quiero entrar.", "complaint digital_account normal"),
            ("Excelente atención, muy amables, los recomiendo.", "praise - low"),
            ("¿Cuánto cuesta el envío a Canarias?", "question delivery normal"),
        ],
    );
}

#[test]
fn french() {
    holds(
        "fr",
        10,
        &[
            ("Pardon de vous déranger, le grille-pain a pris feu et ma fille a une brûlure.", "- safety critical"),
            ("Ce n'est pas urgent, mais ça sent le gaz depuis le passage du technicien.", "- - critical"),
            ("Nous n'avons pas reçu l'insuline de ma mère.", "complaint - critical"),
            ("Quelqu'un utilise ma carte en ce moment, bloquez tout.", "- privacy_fraud critical"),
            ("J'ai reçu la facture d'un autre client avec son adresse.", "- - critical"),
            ("Sans réponse, je saisis la DGCCRF et l'UFC Que Choisir.", "complaint - high"),
            ("Nous sommes sans chauffage depuis dimanche.", "complaint - high"),
            ("Rien d'urgent, quels sont les horaires du magasin ?", "question - low"),
            ("Mon colis est indiqué livré mais je n'ai rien reçu.", "complaint delivery normal"),
            ("J'ai été prélevé deux fois ce mois-ci.", "complaint billing_payment normal"),
            ("L'application plante dès que je tape mon mot de passe.", "complaint digital_account normal"),
            ("Un grand merci à toute l'équipe, service impeccable !", "praise - low"),
            ("Combien coûte la livraison en Belgique ?", "question delivery normal"),
        ],
    );
}

#[test]
fn german() {
    holds(
        "de",
        10,
        &[
            (
                "Entschuldigen Sie die Störung, aus dem Toaster kam Rauch und mein Sohn hat sich verbrannt.",
                "- safety critical",
            ),
            ("Es eilt nicht, aber in der Küche riecht es nach Gas.", "- - critical"),
            ("Das Beatmungsgerät meines Vaters funktioniert nicht mehr.", "complaint - critical"),
            ("Jemand kauft gerade mit meiner Karte ein, sperren Sie sofort mein Konto.", "- privacy_fraud critical"),
            ("Ich habe die Rechnung eines anderen Kunden mit Adresse bekommen.", "- - critical"),
            ("Ich wende mich an die Verbraucherzentrale und die Bundesnetzagentur.", "- - high"),
            ("Wir sitzen seit Tagen ohne Heizung da.", "complaint - high"),
            ("Nicht dringend: Wann habt ihr samstags geöffnet?", "question - low"),
            ("Mein Paket wurde angeblich zugestellt, ist aber nie angekommen.", "complaint delivery normal"),
            ("Der Betrag wurde doppelt abgebucht.", "complaint billing_payment normal"),
            ("Die App stürzt beim Einloggen ab.", "complaint digital_account normal"),
            ("Vielen Dank für den tollen Service, sehr freundliches Team!", "praise - low"),
            ("Was kostet der Versand nach Österreich?", "question delivery normal"),
        ],
    );
}
