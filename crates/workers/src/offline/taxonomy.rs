//! The subjects that the category method knows, each with words that speak for it. The words are stems, as
//! `words::stem` makes them.

/// (subject, words). A word may speak for several subjects.
pub(crate) const SUBJECTS: &[(&str, &str)] = &[
    (
        "business",
        "acquisition brand business client company competitor contract customer enterprise firm growth industry \
         manager management market marketing merger operation partner procurement product retail revenue sale \
         shareholder stakeholder startup strategy supplier supply",
    ),
    (
        "finance",
        "account asset audit bank banking bond budget capital cash cost credit currency debt deficit dividend \
         earning equity expenditure expense finance financial fund funding income inflation insurance interest \
         invest investment investor invoice loan mortgage payment pension price profit revenue stock tax treasury",
    ),
    (
        "technology",
        "algorithm api app automation browser bug cloud code computer cyber data database developer device \
         digital encryption hardware internet laptop online password platform programming robot server smartphone \
         software startup technology web website",
    ),
    (
        "health",
        "cancer care clinic clinical diagnosis disease doctor dose drug health healthcare hospital illness \
         infection medical medication medicine mental nurse nutrition patient pharmacy physician surgery symptom \
         therapy treatment vaccine virus",
    ),
    (
        "legal",
        "agreement attorney clause compliance contract copyright court defendant dispute evidence judge justice \
         law lawsuit lawyer legal legislation liability license litigation obligation party plaintiff privacy \
         regulation regulatory ruling statute trial",
    ),
    (
        "education",
        "book campus child class classroom college course curriculum degree education exam examination homework \
         learn learner learning lecture lesson librarian library literacy membership pupil reader reading \
         research scholar school student study teach teacher teaching training tutor university volunteer \
         workshop",
    ),
    (
        "science",
        "astronomy atom biology cell chemistry climate data discovery dna evolution experiment galaxy gene \
         genetic hypothesis laboratory molecule observation particle physic planet protein quantum research \
         researcher sample science scientific scientist telescope theory",
    ),
    (
        "government",
        "ballot bill campaign candidate citizen committee congress council democracy diplomacy election \
         government governor law mayor minister ministry municipal parliament party policy political politician \
         president public reform republic senate senator state vote voter",
    ),
    (
        "customer support",
        "account agent cancel complaint customer delivery error faulty feedback fix helpdesk issue login order \
         package password problem product reference refund reply replace replacement request response return \
         service shipping support ticket warranty",
    ),
    (
        "human resources",
        "absence applicant benefit candidate career colleague employee employer employment hire hiring holiday hr \
         interview job onboarding payroll performance promotion recruit recruitment recruiter resignation resume \
         salary staff staffing team training vacancy wage workforce",
    ),
    (
        "environment",
        "biodiversity carbon climate conservation crop drought ecology ecosystem emission energy environment \
         environmental flood forest fossil green habitat nature ocean planet pollution rain recycling renewable \
         river soil solar sustainability sustainable tree waste water weather wildlife wind",
    ),
    (
        "travel",
        "adventure airline airport beach booking city cruise destination excursion flight guide holiday hotel \
         island itinerary journey luggage map mountain museum passenger passport resort restaurant tour tourism \
         tourist train travel traveller trip vacation visa visitor",
    ),
    (
        "sport",
        "athlete ball basketball champion championship club coach competition cup cycling defeat final football \
         game goal league marathon match medal olympic opponent player race referee season score soccer sport \
         stadium swimming team tennis tournament training victory win winner",
    ),
    (
        "culture",
        "actor album art artist audience band book cinema concert culture dance director exhibition fashion \
         festival film gallery literature movie museum music musician novel opera painting performance \
         photography poem poetry show singer song stage theatre writer",
    ),
];
