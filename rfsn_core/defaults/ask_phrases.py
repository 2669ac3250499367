"""What players ask in other languages than English: whole phrases, as they are typed."""

from __future__ import annotations

PHRASES = """
name|wie heisst du|wie heissen sie|wie ist dein name|wie ist ihr name|dein name|wie nennt man dich
name|comment tu t'appelles|comment t'appelles|tu t'appelles comment|comment vous appelez|quel est ton nom
name|quel est votre nom|ton nom
name|como te llamas|como se llama usted|cual es tu nombre|cual es su nombre|tu nombre|como se chama
name|como voce se chama|qual e o seu nome|qual o seu nome|qual e o teu nome|seu nome|qual e teu nome
name|come ti chiami|come si chiama|qual e il tuo nome|il tuo nome
name|как тебя зовут|как вас зовут|как твое имя|как ваше имя|твое имя|jak masz na imie|jak sie nazywasz
name|jak ci na imie|twoje imie|jak pan sie nazywa
name|你叫什么|你的名字|怎么称呼|你是叫|お名前|あなたの名前|名前は何|名前を教え
role|wer bist du|wer sind sie|was machst du hier|was machst du beruflich|was ist dein beruf|was bist du
role|qui es tu|qui es-tu|t'es qui|tu es qui|qui etes vous|qui etes-vous|que fais tu ici|qu'est ce que tu fais
role|tu fais quoi|quel est ton metier|quel est votre metier
role|quien eres|quien es usted|a que te dedicas|que haces aqui|cual es tu trabajo|quem es tu|quem e voce
role|o que voce faz|o que fazes|qual e o seu trabalho
role|chi sei|chi e lei|cosa fai qui|che lavoro fai|che cosa fai|di cosa ti occupi
role|кто ты|ты кто|кто вы|вы кто|чем ты занимаешься|чем занимаешься|кем ты работаешь|kim jestes|kim pan jest
role|czym sie zajmujesz|co tu robisz
role|你是谁|您是谁|你是做什么|你做什么|你是干什么|あなたは誰|あなたは何者|何者|誰ですか|お仕事は|何をしている人
mood|wie geht|wie geht's|wie gehts|wie laeuft|wie lauft|alles klar|alles gut bei dir
mood|comment ca va|ca va|comment vas tu|comment vas-tu|comment allez vous|comment allez-vous|tu vas bien
mood|vous allez bien
mood|como estas|que tal|como esta usted|como te va|como va todo|como vai|tudo bem|como voce esta|como estas tu
mood|tudo bom
mood|come stai|come va|come sta|tutto bene
mood|как дела|как ты|как поживаешь|как жизнь|как настроение|jak sie masz|co slychac|jak leci|jak sie czujesz
mood|co u ciebie
mood|你好吗|最近怎么样|你怎么样|过得怎么样|还好吗|元気|お元気|調子はどう|ご機嫌いかが
origin|woher kommst du|woher kommen sie|wo kommst du her|wo bist du geboren|woher bist du
origin|d'ou viens tu|d'ou viens-tu|tu viens d'ou|d'ou venez vous|d'ou venez-vous|d'ou es tu|tu es d'ou
origin|de donde eres|de donde vienes|de donde es usted|donde naciste|de onde voce e|de onde es|de onde voce vem
origin|de onde vens
origin|di dove sei|da dove vieni|da dove viene|dove sei nato|dove sei nata
origin|откуда ты|откуда вы|ты откуда|где ты родился|skad jestes|skad pochodzisz|skad pan jest|gdzie sie urodziles
origin|你从哪里来|你来自哪里|你是哪里人|哪里人|どこから来|出身|どこの人
wares|was verkaufst du|was verkaufen sie|was hast du im angebot|was gibt es zu kaufen|was kann ich kaufen
wares|zeig mir deine waren|deine waren|was hast du zu verkaufen
wares|qu'est-ce que tu vends|que vends tu|que vendez vous|que vendez-vous|vous vendez quoi|tu vends quoi
wares|montre moi tes marchandises|qu'est-ce que vous vendez
wares|que vendes|que vende usted|que tienes a la venta|que puedo comprar|muestrame tus mercancias
wares|o que voce vende|o que vendes|o que voce tem para vender|o que posso comprar
wares|cosa vendi|che cosa vendi|cosa vende|cosa hai da vendere|cosa posso comprare|fammi vedere la merce
wares|что продаешь|что ты продаешь|что вы продаете|что у тебя есть|что можно купить|покажи товар|co sprzedajesz
wares|co masz na sprzedaz|co mozna kupic|co moge kupic|pokaz towary
wares|你卖什么|卖什么|有什么卖|有什么货|买点东西|何を売って|何が買え|商品を見せ|売り物
player_name|wie heisse ich|wie ist mein name|kennst du meinen namen|weisst du wie ich heisse|mein name noch
player_name|comment je m'appelle|quel est mon nom|tu connais mon nom|tu te souviens de mon nom
player_name|como me llamo|cual es mi nombre|recuerdas mi nombre|sabes mi nombre|qual e o meu nome|como me chamo
player_name|lembra do meu nome|lembras do meu nome
player_name|come mi chiamo|qual e il mio nome|ricordi il mio nome|sai il mio nome
player_name|как меня зовут|помнишь мое имя|знаешь мое имя|jak mam na imie|jak sie nazywam|pamietasz moje imie
player_name|znasz moje imie
player_name|我叫什么|我的名字是什么|记得我的名字|我是谁|私の名前|俺の名前|僕の名前
player|erinnerst du dich an mich|kennst du mich|kennst du mich noch|weisst du noch wer ich bin
player|was weisst du uber mich|was habe ich dir gesagt
player|tu te souviens de moi|te souviens-tu de moi|vous souvenez-vous de moi|tu me connais|que sais tu de moi
player|qu'est-ce que je t'ai dit
player|te acuerdas de mi|me recuerdas|me conoces|que sabes de mi|que te dije|lembra de mim|lembras de mim
player|voce me conhece|o que voce sabe de mim|o que eu te disse
player|ti ricordi di me|mi conosci|mi riconosci|cosa sai di me|cosa ti ho detto
player|ты меня помнишь|помнишь меня|ты меня знаешь|что ты обо мне знаешь|что я тебе говорил|pamietasz mnie
player|znasz mnie|co o mnie wiesz|co ci mowilem
player|记得我吗|认识我吗|你还记得我|私を覚えて|覚えていますか|俺を覚えて
real|bist du ein mensch|bist du ein roboter|bist du ein bot|bist du eine ki|bist du echt|bist du real
real|es-tu un robot|es tu un robot|t'es un robot|tu es un robot|tu es humain|es-tu humain|tu es une ia
real|es-tu reel|etes-vous humain
real|eres un robot|eres una ia|eres humano|eres real|eres un bot|voce e um robo|es um robo|voce e humano
real|voce e real|voce e um bot
real|sei un robot|sei un bot|sei umano|sei reale|sei una ia|sei vero
real|ты робот|ты бот|ты человек|ты настоящи|ты программа|вы робот|jestes robotem|jestes botem|jestes czlowiekiem
real|jestes prawdziw
real|你是机器人|你是人吗|你是真人|你是人工智能|ロボットですか|あなたはロボット|aiですか|人間ですか|本物ですか
joke|erzahl mir einen witz|erzahl einen witz|kennst du einen witz|einen witz|ein ratsel|sing mir|sing ein lied
joke|sing etwas
joke|raconte moi une blague|raconte-moi une blague|une blague|une devinette|chante moi|chante-moi|fais-moi rire
joke|cuentame un chiste|un chiste|una adivinanza|cantame|hazme reir|conta uma piada|me conta uma piada|uma piada
joke|uma adivinha|canta para mim
joke|raccontami una barzelletta|una barzelletta|un indovinello|cantami|fammi ridere
joke|расскажи анекдот|анекдот|расскажи шутку|загадай загадку|загадку|спой|opowiedz dowcip|opowiedz kawal|dowcip
joke|zagadke|zaspiewaj
joke|讲个笑话|说个笑话|笑话|猜谜|谜语|唱首歌|唱歌|冗談を|ジョーク|なぞなぞ|歌って
weather|wie ist das wetter|wie wird das wetter|das wetter|wetter heute|wird es regnen
weather|quel temps fait|il fait beau|va-t-il pleuvoir|il va pleuvoir|la meteo
weather|que tiempo hace|como esta el clima|como esta el tiempo|va a llover|como esta o tempo|vai chover
weather|che tempo fa|com'e il tempo|piovera
weather|какая погода|как погода|погода|будет дождь|jaka jest pogoda|jaka pogoda|bedzie padac
weather|天气|会下雨|天気|雨が降り
advice|was soll ich tun|was soll ich jetzt tun|was soll ich machen|was kann ich tun|gibt es arbeit
advice|hast du arbeit|hast du eine aufgabe|gibt es neuigkeiten|was gibt es neues|was gibt's neues
advice|irgendwelche neuigkeiten|geruchte
advice|que dois-je faire|que dois je faire|je dois faire quoi|qu'est-ce que je dois faire|tu as du travail
advice|vous avez du travail|du travail|une quete|quoi de neuf|des nouvelles|des rumeurs
advice|que debo hacer|que hago ahora|que puedo hacer|tienes trabajo|hay trabajo|una mision|que hay de nuevo
advice|alguna noticia|hay noticias|algun rumor|o que devo fazer|o que faco agora|tem trabalho|alguma missao
advice|alguma novidade|novidades|quais as novidades
advice|cosa devo fare|che devo fare|cosa faccio adesso|hai lavoro|hai un lavoro|c'e lavoro|una missione
advice|che novita|novita|ci sono notizie
advice|что мне делать|что делать|есть работа|есть задание|какие новости|что нового|есть новости|слухи
advice|co mam robic|co robic|co powinienem zrobic|masz prace|jest praca|masz zadanie|jakies wiesci|jakies nowiny
advice|co nowego|plotki
advice|我该做什么|我该怎么办|我现在该|有什么工作|有工作吗|有任务吗|有什么新闻|有什么消息|有什么传闻|どうすればいい|何をすればいい|仕事はありますか|仕事はない|依頼は|何かニュース|噂
"""
"""Ask, then phrases of German, French, Spanish and Portuguese, Italian, Russian and Polish, Chinese and Japanese."""

SOMEBODY_PHRASES = """
person|wer ist|wer war|kennst du|kennen sie|erzahl mir von|qui est|qui etait|tu connais|connais-tu
person|connaissez-vous|parle-moi de
person|quien es|quien era|conoces a|hablame de|quem e|quem era|conhece|conheces|fale sobre|chi e|chi era|conosci
person|parlami di
person|кто такои|кто такая|кто это|знаешь|расскажи о|расскажи про|kim jest|kto to jest|znasz|opowiedz o|是谁|认识|誰
person|を知って
place_of|wo ist|wo sind|wo finde ich|hast du gesehen|ou est|ou se trouve|ou puis-je trouver|tu as vu|donde esta
place_of|donde encuentro|has visto
place_of|onde esta|onde fica|onde encontro|viu|dov'e|dove si trova|dove trovo|hai visto|где|ты видел|gdzie jest
place_of|gdzie znajde|widziales
place_of|在哪|哪里|どこ
opinion_of|was haltst du von|was denkst du uber|magst du|vertraust du|que penses tu de|que penses-tu de|tu aimes
opinion_of|tu fais confiance|qu'est-ce que tu penses de
opinion_of|que opinas de|que piensas de|te gusta|confias en|te cae bien|o que voce acha|o que achas|voce gosta
opinion_of|gostas|voce confia|confias
opinion_of|cosa pensi di|che ne pensi di|ti piace|ti fidi di|что ты думаешь|что думаешь|тебе нравится
opinion_of|ты доверяешь|co myslisz o|lubisz|ufasz|觉得|喜欢|信任|どう思|好きですか|信じて
"""
